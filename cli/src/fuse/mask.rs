//! What hides tokens from attention, told by what it does: padding, later tokens, far tokens, biases by distance.

use std::collections::BTreeMap;

use emberlite::ops::{Attention, Embedding, KeyMask, PositionBias};
use tract_core::internal::*;

use super::cone::alone;
use super::probe::{Given, Probed, Sample, probe};
use super::qkv::as_many;
use super::view::{Draft, View};

/// Scores with less than this added have no share in the sum.
const HIDDEN: f32 = -9000.0;

/// A number in a mask's arithmetic may be a distance; masks with greater ones are left as they are.
const FARTHEST: usize = 600;

/// How far a bias may be from the table's, as both are the same numbers.
const TOLERANCE: f32 = 1e-6;

/// What a mask does.
#[derive(Clone, Debug, PartialEq)]
enum Meaning {
    Hides {
        /// The input that is 0 for padding.
        padding: Option<OutletId>,
        causal: bool,
        window: Option<usize>,
    },
    Biases(PositionBias),
}

/// Replaces the masks of every `Attention` whose meaning an operator has, or the attention itself; gives how many.
pub(super) fn masks(model: &mut TypedModel) -> TractResult<usize> {
    let mut meanings: BTreeMap<OutletId, Option<Meaning>> = BTreeMap::new();
    let mut replaced = 0;
    for id in 0..model.nodes.len() {
        let view = View(model);
        let node = &model.nodes[id];
        let Some(op) = node.op_as::<Attention>() else { continue };
        let operands = node.inputs.len() - op.masks;
        let known: Vec<Option<Meaning>> = node.inputs[operands..]
            .iter()
            .map(|mask| meanings.entry(*mask).or_insert_with(|| meaning(view, *mask)).clone())
            .collect();
        let count = known.iter().flatten().count();
        if count == 0 {
            continue;
        }
        if let Some(patch) = rewire(view, node, op, &known)? {
            patch.apply(model)?;
            replaced += count;
        }
    }
    Ok(replaced)
}

fn rewire(
    view: View<'_>,
    node: &TypedNode,
    op: &Attention,
    known: &[Option<Meaning>],
) -> TractResult<Option<TypedModelPatch>> {
    let operands = node.inputs.len() - op.masks;
    let mut op = op.clone();
    let mut draft = Draft::anew(view, OutletId::new(node.id, 0));
    let mut inputs = draft.taps(&node.inputs[..operands])?;
    for (mask, meaning) in node.inputs[operands..].iter().zip(known) {
        match meaning {
            None => inputs.push(draft.tap(*mask)?),
            Some(Meaning::Hides { padding, causal, window }) => {
                rule_if!(op.window.is_none() || window.is_none());
                rule_if!(!causal && window.is_none() || as_many(view, &op, node));
                op.causal |= causal;
                op.window = op.window.or(*window);
                if let Some(padding) = padding {
                    inputs.push(shared(view, &mut draft, "key_mask", KeyMask, *padding)?);
                }
            }
            Some(Meaning::Biases(bias)) => {
                rule_if_some!(ids = view.0.inputs.first());
                inputs.push(shared(view, &mut draft, "position_bias", bias.clone(), *ids)?);
            }
        }
    }
    op.masks = inputs.len() - operands;
    let y = draft.wire(op, &inputs)?;
    draft.replace(OutletId::new(node.id, 0), y)
}

/// The node that applies this operator to an input of the graph, the one that is there already if there is one.
fn shared<T: TypedOp + Clone + PartialEq>(
    view: View<'_>,
    draft: &mut Draft<'_>,
    name: &str,
    op: T,
    input: OutletId,
) -> TractResult<OutletId> {
    let same = |id: &usize| view.0.nodes[*id].op_as::<T>() == Some(&op);
    match view.users(input).into_iter().find(same) {
        Some(id) => draft.tap(OutletId::new(id, 0)),
        None => {
            let input = draft.tap(input)?;
            draft.wire_named(name, op, &[input])
        }
    }
}

fn meaning(view: View<'_>, mask: OutletId) -> Option<Meaning> {
    let near = probe(view.0, mask, &[(1, 1), (2, 7), (3, 33)], Given::Mask)?;
    let of_ids = |source: OutletId| view.users(source).iter().any(|id| view.0.nodes[*id].op_is::<Embedding>());
    if near.source.is_some_and(of_ids) {
        return None;
    }
    let farthest = near.constants.iter().filter_map(|constant| reach(constant)).max().unwrap_or(0);
    if farthest > FARTHEST {
        return None;
    }
    let far = probe(view.0, mask, &[(1, 2 * farthest + 300)], Given::Mask)?;
    let samples: Vec<&Sample> = near.samples.iter().chain(&far.samples).collect();
    hides(&near, &samples).or_else(|| biases(&near, &samples))
}

/// The greatest number in a constant that may be a distance, or a size.
fn reach(constant: &Tensor) -> Option<usize> {
    let sizes = constant.shape().iter().copied().max();
    let numbers = (constant.len() == 1).then(|| constant.cast_to_scalar::<f32>().ok()).flatten();
    let numbers = numbers.filter(|number| *number > HIDDEN).map(|number| number.abs().ceil() as usize);
    numbers.max(sizes)
}

fn hides(probed: &Probed, samples: &[&Sample]) -> Option<Meaning> {
    let sample = samples.last()?;
    let shown = shown(sample)?;
    let tokens = sample.tokens;
    let kept = |key: usize| probed.source.is_none() || sample.given[key] != 0;
    let causal = (0..tokens).all(|query| (query + 1..tokens).all(|key| !shown[query * tokens + key])) && tokens > 1;
    let distances = (0..tokens * tokens).filter(|at| shown[*at]).map(|at| (at % tokens).abs_diff(at / tokens));
    let farthest = distances.max()?;
    let possible = (0..tokens).flat_map(|query| (0..tokens).map(move |key| (query, key)));
    let farthest_kept = possible.filter(|(_, key)| kept(*key)).map(|(query, key)| key.abs_diff(query)).max()?;
    let window = (farthest < farthest_kept).then_some(farthest);
    let meaning = Meaning::Hides { padding: probed.source, causal, window };
    samples.iter().all(|sample| hides_so(sample, probed.source.is_some(), causal, window)).then_some(meaning)
}

/// Which of the keys each query of the first text sees.
fn shown(sample: &Sample) -> Option<Vec<bool>> {
    let tokens = sample.tokens;
    (0..tokens * tokens).map(|at| value(sample, 0, 0, at / tokens, at % tokens).map(|value| value == 0.0)).collect()
}

fn hides_so(sample: &Sample, padding: bool, causal: bool, window: Option<usize>) -> bool {
    let heads = sample.output.shape().get(1).copied().unwrap_or(0);
    (0..sample.texts).all(|text| {
        (0..sample.tokens).all(|query| {
            let shows = |key: usize| {
                (!padding || sample.given[text * sample.tokens + key] != 0)
                    && (!causal || key <= query)
                    && window.is_none_or(|window| key.abs_diff(query) <= window)
            };
            let any = (0..sample.tokens).any(shows);
            (0..heads).all(|head| {
                (0..sample.tokens).all(|key| match value(sample, text, head, query, key) {
                    Some(value) if any && shows(key) => value == 0.0,
                    Some(value) if any => value <= HIDDEN,
                    other => other.is_some(),
                })
            })
        })
    })
}

/// What a mask adds to a score.
fn value(sample: &Sample, text: usize, head: usize, query: usize, key: usize) -> Option<f32> {
    let shape = sample.output.shape();
    let limits = [sample.texts, shape.get(1).copied()?, sample.tokens, sample.tokens];
    let mut index = 0;
    for ((&size, limit), at) in shape.iter().zip(limits).zip([text, head, query, key]) {
        if size != 1 && size != limit {
            return None;
        }
        index = index * size + if size == 1 { 0 } else { at };
    }
    sample.floats()?.get(index).copied()
}

fn biases(probed: &Probed, samples: &[&Sample]) -> Option<Meaning> {
    if probed.source.is_some() {
        return None;
    }
    let heads = samples.first()?.output.shape().get(1).copied()?;
    let tables = probed.constants.iter().filter(|constant| constant.datum_type() == f32::datum_type());
    for table in tables.filter(|table| table.rank() >= 2 && table.shape().last() == Some(&heads)) {
        let numbers = table.try_as_plain_ram().ok()?.as_slice::<f32>().ok()?;
        let buckets = numbers.len() / heads;
        for bidirectional in [true, false] {
            for max_distance in distances(probed, buckets, bidirectional) {
                let made = PositionBias::new(numbers, buckets, heads, bidirectional, max_distance);
                if let Some(bias) = made.ok().filter(|bias| samples.iter().all(|sample| biases_so(sample, bias))) {
                    return Some(Meaning::Biases(bias));
                }
            }
        }
    }
    None
}

/// The distances from which on all may share a bucket, as numbers in the arithmetic suggest them: exporters write
/// `(buckets - near) / ln(max_distance / near)`, or the logarithm.
fn distances(probed: &Probed, buckets: usize, bidirectional: bool) -> Vec<usize> {
    let near = if bidirectional { buckets / 4 } else { buckets / 2 } as f32;
    let far = if bidirectional { buckets / 2 } else { buckets } as f32 - near;
    let mut found = vec![128];
    for constant in probed.constants.iter().filter(|constant| constant.len() == 1) {
        let Ok(number) = constant.cast_to_scalar::<f32>() else { continue };
        let guesses = [near * (far / number).exp(), near * number.exp(), near * number.recip().exp(), number];
        for guess in guesses.into_iter().filter(|guess| (1.0..1e5).contains(guess)) {
            found.push(guess.round() as usize);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn biases_so(sample: &Sample, bias: &PositionBias) -> bool {
    let ids = Tensor::zero::<i64>(&[1, sample.tokens]).ok();
    let expected = ids.and_then(|ids| alone(bias.clone(), ids));
    let (Some(expected), Some(got)) = (&expected, sample.floats()) else { return false };
    let Ok(numbers) = expected.try_as_plain_ram().and_then(|plain| plain.as_slice::<f32>()) else { return false };
    let close = |(got, expected): (&f32, &f32)| (got - expected).abs() <= TOLERANCE;
    let texts = sample.output.shape().first().copied().unwrap_or(0);
    sample.output.shape().get(1..) == expected.shape().get(1..)
        && (0..texts).all(|text| got[text * numbers.len()..].iter().zip(numbers).all(close))
}
