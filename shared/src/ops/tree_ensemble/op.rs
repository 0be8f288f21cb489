//! The tract operator around an ensemble.

use std::sync::Arc;

use tract_nnef::internal::*;

use super::ensemble::{Ensemble, Finish, Outcome};
use super::forest::Threshold;

/// Decision trees over rows.
///
/// Input: `[N, features]`, of any number type; it is compared as `f64` if it is `f64` and the trees are, else as `f32`.
/// Outputs: with [`Finish::Class`] the class's index `[N]` as `i64`, then the scores `[N, targets]` as `f32`; with
/// [`Finish::Scores`] the scores only.
#[derive(Clone, Debug)]
pub enum TreeEnsemble {
    /// Trees with `f32` thresholds.
    Single(Arc<Ensemble<f32>>),
    /// Trees with `f64` thresholds.
    Double(Arc<Ensemble<f64>>),
}

impl TreeEnsemble {
    fn finish(&self) -> Finish {
        match self {
            TreeEnsemble::Single(ensemble) => ensemble.finish,
            TreeEnsemble::Double(ensemble) => ensemble.finish,
        }
    }

    fn width(&self) -> (usize, usize) {
        match self {
            TreeEnsemble::Single(ensemble) => (ensemble.features(), ensemble.targets()),
            TreeEnsemble::Double(ensemble) => (ensemble.features(), ensemble.targets()),
        }
    }
}

/// Two operators are one only if they share their trees.
impl PartialEq for TreeEnsemble {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (TreeEnsemble::Single(one), TreeEnsemble::Single(two)) => Arc::ptr_eq(one, two),
            (TreeEnsemble::Double(one), TreeEnsemble::Double(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl Eq for TreeEnsemble {}

impl Op for TreeEnsemble {
    fn name(&self) -> StaticName {
        "TreeEnsemble".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        let (features, targets) = self.width();
        Ok(vec![format!("{features} features, {targets} targets, {:?}", self.finish())])
    }

    op_as_typed_op!();
}

impl EvalOp for TreeEnsemble {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let &[rows, width] = input.shape() else { bail!("expected rows of features, got {input:?}") };
        let outcome = match self {
            TreeEnsemble::Single(ensemble) => eval(ensemble, &input, width)?,
            TreeEnsemble::Double(ensemble) => eval(ensemble, &input, width)?,
        };
        let (_, targets) = self.width();
        let scores = tensor1(&outcome.scores).into_shape(&[rows, targets])?;
        Ok(match self.finish() {
            Finish::Scores => tvec!(scores.into_tvalue()),
            Finish::Class => tvec!(tensor1(&outcome.classes).into_tvalue(), scores.into_tvalue()),
        })
    }
}

fn eval<T: Threshold>(ensemble: &Ensemble<T>, input: &Tensor, width: usize) -> TractResult<Outcome> {
    let rows = input.cast_to::<T>()?;
    ensemble.eval(rows.try_as_plain_ram()?.as_slice::<T>()?, width)
}

impl TypedOp for TreeEnsemble {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let [input] = inputs else { bail!("expected one input, got {}", inputs.len()) };
        let [rows, width] = input.shape.dims() else { bail!("expected rows of features, got {input:?}") };
        let (features, targets) = self.width();
        if let Ok(width) = width.to_usize() {
            ensure!(width >= features, "expected rows of at least {features} features, got {width}");
        }
        let scores = f32::fact([rows.clone(), targets.to_dim()]);
        Ok(match self.finish() {
            Finish::Scores => tvec!(scores),
            Finish::Class => tvec!(i64::fact([rows.clone()]), scores),
        })
    }

    as_op!();
}
