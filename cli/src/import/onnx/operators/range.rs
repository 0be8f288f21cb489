//! `Range`: tract's, without the conclusions that it draws from one.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::array;

use emberlite::ops::opaque::Opaque;

use super::wire::Built;

pub(super) fn range(_context: &ParsingContext<'_>, _node: &NodeProto) -> Built {
    Ok((expand(Range), vec![]))
}

/// The elements of a `Range` of symbolic length hide behind an [`Opaque`].
#[derive(Clone, Debug)]
struct Range;

impl Expansion for Range {
    fn name(&self) -> StaticName {
        "Range".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        Expansion::rules(&array::Range, solver, inputs, outputs)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let range = array::Range.wire(&format!("{prefix}.range"), model, inputs)?;
        model.wire_node(prefix, Opaque, &range)
    }
}
