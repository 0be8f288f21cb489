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

/// What tokens are given.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given {
    /// 0 or 1.
    Mask,
    /// Every other an id below this, the others ids that the arithmetic may tell from these: they are near its constants.
    Ids { below: i64 },
}

/// Ids that no constant is near.
const FURTHER: [i64; 2] = [1013, 29_989];

/// A constant with more numbers is a table, not what ids are compared with.
const MOST_COMPARED: usize = 64;

/// Runs what makes `outlet` on texts of these sizes.
///
/// Nothing where the graph's inputs are not all `i64` `[batch, tokens]`, where the part depends on two of them or is too
/// great, or where any run fails.
pub(super) fn probe(model: &TypedModel, outlet: OutletId, sizes: &[(usize, usize)], given: Given) -> Option<Probed> {
    let cone = Cone::of_inputs(model, outlet)?;
    if cone.sources.len() > 1 {
        return None;
    }
    let (source, constants) = (cone.sources.first().copied(), cone.constants.clone());
    let plan = cone.plan()?;
    let mut random = fastrand::Rng::with_seed(7);
    let below = match given {
        Given::Mask => 2,
        Given::Ids { below } => below,
    };
    let told = match given {
        Given::Mask => vec![],
        Given::Ids { .. } => told(&constants),
    };
    let mut told = told.iter().copied().cycle();
    let mut number = |at: usize| match (at % 2 == 1).then(|| told.next()).flatten() {
        Some(number) => number,
        None => random.i64(0..below),
    };
    let mut samples = Vec::new();
    for &(texts, tokens) in sizes {
        let given: Vec<i64> = match source {
            Some(_) => (0..texts * tokens).map(&mut number).collect(),
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

/// Ids near the numbers of constants.
fn told(constants: &[Arc<Tensor>]) -> Vec<i64> {
    let compared = constants.iter().filter(|constant| constant.len() <= MOST_COMPARED);
    let numbers = compared.filter_map(|constant| constant.cast_to::<i64>().ok());
    let mut told = FURTHER.to_vec();
    for constant in numbers {
        let numbers = constant.try_as_plain_ram().and_then(|plain| plain.as_slice::<i64>()).unwrap_or_default();
        told.extend(numbers.iter().flat_map(|number| (-1..=1).filter_map(|by| number.checked_add(by))));
    }
    told.retain(|id| (0..i64::from(u32::MAX)).contains(id));
    told.sort_unstable();
    told.dedup();
    told
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
