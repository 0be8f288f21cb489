//! Rotary positions in pieces become the attention's own.

use emberlite::ops::Attention;
use tract_core::internal::*;
use tract_core::ops::array::{Slice, TypedConcat};
use tract_core::ops::math::{Add, Mul, Neg};

use super::axes::{Factors, Layout, Origin, arrange, origin, same_shape};
use super::probe::{Given, Sample, probe};
use super::qkv::{as_many, rows};
use super::view::{Draft, View};

/// The longest text whose angles are compared.
const LONGEST: usize = 300;

/// How far a cosine may be from the one that is expected: exporters compute angles in `f32`.
const TOLERANCE: f32 = 1e-4;

/// What was turned, and the base of the angles.
struct Turned {
    x: Origin,
    theta: f32,
}

/// Queries and keys that are turned by their positions come to the attention as they were before, and it turns them.
pub(super) fn rotary(view: View<'_>, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
    rule_if_some!(op = node.op_as::<Attention>());
    rule_if!(!op.fused && op.rotary.is_none() && node.inputs.len() == 3 + op.masks && as_many(view, op, node));
    rule_if_some!(queries = turned(view, op, node.inputs[0]));
    rule_if_some!(keys = turned(view, op, node.inputs[1]));
    rule_if!(queries.theta == keys.theta);
    let mut draft = Draft::anew(view, OutletId::new(node.id, 0));
    let mut inputs = tvec!();
    for (turned, outlet) in [(&queries, node.inputs[0]), (&keys, node.inputs[1])] {
        rule_if_some!(wanted = rows(view, op, outlet));
        let x = draft.tap(turned.x.outlet)?;
        inputs.push(arrange(&mut draft, x, &turned.x.layout, &wanted)?);
    }
    inputs.extend(draft.taps(&node.inputs[2..])?);
    let y = draft.wire(Attention { rotary: Some(queries.theta), ..op.clone() }, &inputs)?;
    draft.replace(OutletId::new(node.id, 0), y)
}

fn turned(view: View<'_>, op: &Attention, outlet: OutletId) -> Option<Turned> {
    let from = origin(view, outlet, rows(view, op, outlet)?, &Layout(vec![]), Factors::Kept);
    let axis = |label: char| from.layout.0.iter().position(|parts| matches!(&**parts, [part] if part.label == label));
    let (tokens, width) = (axis('s')?, axis('w')?);
    let [left, right] = view.binary::<Add>(view.node(from.outlet))?;
    let factors = |sum: OutletId| view.binary::<Mul>(view.node(sum));
    let orders = |[one, other]: [OutletId; 2]| [[one, other], [other, one]];
    for [kept, swapped] in orders([left, right]) {
        for [x, cosine] in orders(factors(kept)?) {
            for [half, sine] in orders(factors(swapped)?) {
                if same_shape(view, x, from.outlet)
                    && is_turned_by_a_quarter(view, half, x, width, op.head_width)
                    && let Some(theta) = base(view, cosine, sine, tokens, width, op.head_width)
                {
                    let x = Origin { outlet: x, ..from };
                    return Some(Turned { x, theta });
                }
            }
        }
    }
    None
}

/// Whether `turned` is the second half of every head of `x`, negated, and then the first.
fn is_turned_by_a_quarter(view: View<'_>, turned: OutletId, x: OutletId, axis: usize, width: usize) -> bool {
    let Some(concat) = view.op::<TypedConcat>(turned) else { return false };
    let &[negated, first] = &*view.node(turned).inputs else { return false };
    let Some((_, second)) = view.unary::<Neg>(view.node(negated)) else { return false };
    let half = |outlet: OutletId, start: usize| {
        view.op::<Slice>(outlet).is_some_and(|slice| {
            slice.axis == axis && slice.start == start.to_dim() && slice.end == (start + width / 2).to_dim()
        }) && view.node(outlet).inputs.first() == Some(&x)
    };
    concat.axis == axis && width.is_multiple_of(2) && half(first, 0) && half(second, width / 2)
}

/// The base of the angles whose cosines and sines these are.
fn base(
    view: View<'_>,
    cosine: OutletId,
    sine: OutletId,
    tokens: usize,
    width: usize,
    head_width: usize,
) -> Option<f32> {
    let of = |outlet: OutletId| {
        let probed = probe(view.0, outlet, &[(1, 2), (2, 7), (1, LONGEST)], Given::Mask)?;
        probed.source.is_none().then_some(probed.samples)
    };
    let (cosines, sines) = (of(cosine)?, of(sine)?);
    let at = |sample: &Sample, token: usize, number: usize| along(sample, tokens, token, width, number);
    let step = at(sines.first()?, 1, 1)?.atan2(at(cosines.first()?, 1, 1)?);
    if head_width < 4 || step <= 0.0 {
        return None;
    }
    let theta = f64::from(step).powf(-(head_width as f64) / 2.0);
    let whole = theta.round();
    let theta = if (theta - whole).abs() < 1e-3 * theta { whole } else { theta };
    let half = head_width / 2;
    let agree = |samples: &[Sample], curve: fn(f64) -> f64| {
        samples.iter().all(|sample| {
            (0..sample.tokens).all(|token| {
                (0..head_width).all(|number| {
                    let frequency = theta.powf(-2.0 * (number % half) as f64 / head_width as f64);
                    let expected = curve(token as f64 * frequency) as f32;
                    at(sample, token, number).is_some_and(|got| (got - expected).abs() <= TOLERANCE)
                })
            })
        })
    };
    (agree(&cosines, f64::cos) && agree(&sines, f64::sin)).then_some(theta as f32)
}

/// The number of a tensor that has two axes only, the others being 1.
fn along(sample: &Sample, first: usize, at_first: usize, second: usize, at_second: usize) -> Option<f32> {
    let shape = sample.output.shape();
    let mut index = 0;
    for (axis, &size) in shape.iter().enumerate() {
        let at = if axis == first {
            at_first
        } else if axis == second {
            at_second
        } else {
            0
        };
        if at >= size || (axis != first && axis != second && size != 1) {
            return None;
        }
        index = index * size + at;
    }
    sample.floats()?.get(index).copied()
}
