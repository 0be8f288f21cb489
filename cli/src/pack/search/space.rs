//! What is tried with which kind of model.

use crate::pack::Prepared;
use crate::prune::Method;
use crate::quantize::Scheme;
use crate::recipe::Shrink;
use crate::search::Space;
use crate::verify::Target;

/// What fits a kind of model. What the recipe settles is not tried in another way.
pub(super) fn of(prepared: &Prepared, given: &Shrink, target: Target) -> Space {
    let (schemes, methods): (&[Scheme], &[Method]) = match prepared {
        Prepared::Tensors(_) => {
            let methods =
                &[Method::Channels, Method::Neurons, Method::Trees, Method::LowRank, Method::Blocks, Method::Weights];
            (&[Scheme::F16, Scheme::Int8], methods)
        }
        Prepared::Texts(_) => (
            &[Scheme::Bf16, Scheme::Int8, Scheme::Q4Calibrated],
            &[Method::Neurons, Method::Heads, Method::LowRank, Method::Layers, Method::Blocks, Method::Weights],
        ),
        Prepared::Language(_) => (
            &[Scheme::F16, Scheme::Int8, Scheme::Q4, Scheme::Q4Calibrated],
            &[Method::Neurons, Method::Heads, Method::Layers, Method::Blocks, Method::Weights],
        ),
    };
    let schemes = given.quantize.scheme.map_or_else(|| schemes.to_vec(), |scheme| vec![scheme]);
    // Without its zeros a package is smaller; the loaded model has them.
    let gains = |method: &&Method| given.prune.is_empty() && (**method != Method::Weights || target == Target::Size);
    Space { schemes, methods: methods.iter().filter(gains).copied().collect() }
}

/// Whether layers may get formats of their own in the end.
pub(super) fn mixes(prepared: &Prepared, given: &Shrink) -> bool {
    given.quantize.scheme.is_none() && !matches!(prepared, Prepared::Tensors(_))
}
