//! Texts made up to see what a part of a graph makes of them.

use std::sync::Arc;

use tract_core::internal::*;

use super::cone::Cone;

/// What part of a graph made of some texts.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) texts: usize,
    pub(super) tokens: usize,
    /// `[texts, tokens]`, what the input that the part depends on was given; zeros if there is none.
    pub(super) given: Vec<i64>,
    pub(super) output: Arc<Tensor>,
}

/// A part of a graph and what it made of texts of several lengths.
#[derive(Debug)]
pub(super) struct Probed {
    /// The only input of the graph that the part depends on, beyond its shape.
    pub(super) source: Option<OutletId>,
    pub(super) constants: Vec<Arc<Tensor>>,
    pub(super) samples: Vec<Sample>,
}

/// Runs what makes `outlet` on texts of these sizes, with numbers below `limit` at every token.
///
/// Nothing where the graph's inputs are not all `i64` `[batch, tokens]`, where the part depends on two of them or is too
/// great, or where any run fails.
pub(super) fn probe(model: &TypedModel, outlet: OutletId, sizes: &[(usize, usize)], limit: i64) -> Option<Probed> {
    let cone = Cone::of_inputs(model, outlet)?;
    if cone.sources.len() > 1 {
        return None;
    }
    let (source, constants) = (cone.sources.first().copied(), cone.constants.clone());
    let plan = cone.plan()?;
    let mut random = fastrand::Rng::with_seed(7);
    let mut samples = Vec::new();
    for &(texts, tokens) in sizes {
        let given: Vec<i64> = match source {
            Some(_) => (0..texts * tokens).map(|_| random.i64(0..limit)).collect(),
            None => vec![0; texts * tokens],
        };
        let mut inputs = Vec::new();
        for input in &model.inputs {
            let fact = model.outlet_fact(*input).ok()?;
            let of_texts = fact.datum_type == i64::datum_type() && fact.rank() == 2;
            let numbers = if Some(*input) == source { given.clone() } else { vec![0; given.len()] };
            inputs.push(Tensor::from_shape(of_texts.then_some(&[texts, tokens])?, &numbers).ok()?);
        }
        let output = plan.run(inputs).ok()?.into_iter().next()?;
        samples.push(Sample { texts, tokens, given, output });
    }
    Some(Probed { source, constants, samples })
}

impl Sample {
    /// The output as numbers.
    pub(super) fn floats(&self) -> Option<&[f32]> {
        self.output.try_as_plain_ram().ok()?.as_slice::<f32>().ok()
    }

    /// The output as ids.
    pub(super) fn ids(&self) -> Option<&[i64]> {
        self.output.try_as_plain_ram().ok()?.as_slice::<i64>().ok()
    }
}
