//! Activation functions in pieces become one operator; a gate and what it gates become one layer.

use emberlite::ops::{Activate, Activation, Gated, Linear};
use tract_core::internal::*;
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::element_wise::ElementWiseOp;
use tract_core::ops::math::{Erf, Max, Mul, Tanh};
use tract_core::ops::nn::{GeluApproximate, GeluExact, Sigmoid, Silu};

use super::axes::same_shape;
use super::cone::{Cone, alone};
use super::names;
use super::view::{Draft, View};

/// How many operators an activation is written in at most, from its result to what it is applied to.
const MOST_PIECES: usize = 10;

/// How far the pieces may be from the function, as both round.
const TOLERANCE: f32 = 2e-5;

/// The activation that a node is, and what it is applied to.
pub(super) fn single(view: View<'_>, node: &TypedNode) -> Option<(Activation, OutletId)> {
    view.floats(OutletId::new(node.id, 0))?;
    if let Some(op) = node.op_as::<Activate>() {
        return Some((op.0, *node.inputs.first()?));
    }
    if let Some([left, right]) = view.binary::<Max>(node) {
        let clipped = |x, bound| (view.scalar(bound) == Some(0.0)).then_some((Activation::Relu, x));
        return clipped(left, right).or_else(|| clipped(right, left));
    }
    let known = [
        view.unary::<GeluExact>(node).map(|(_, x)| (Activation::Gelu, x)),
        view.unary::<GeluApproximate>(node).filter(|(op, _)| !op.fast_impl).map(|(_, x)| (Activation::GeluTanh, x)),
        view.unary::<Silu>(node).map(|(_, x)| (Activation::Silu, x)),
        view.unary::<Tanh>(node).map(|(_, x)| (Activation::Tanh, x)),
        view.unary::<Sigmoid>(node).map(|(_, x)| (Activation::Sigmoid, x)),
    ];
    known.into_iter().flatten().next()
}

/// Element-wise pieces that together compute an activation become `Activate`: what they compute is compared with every
/// activation, so the way they are written does not matter.
pub(super) fn pieces(view: View<'_>, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
    let y = OutletId::new(node.id, 0);
    if let Some((_, x)) = view.unary::<GeluExact>(node) {
        return activate(view, node, Activation::Gelu, x);
    }
    rule_if!(view.binary::<Mul>(node).is_some() && view.floats(y).is_some());
    for x in candidates(view, y) {
        if let Some(activation) = computed(view, y, x) {
            return activate(view, node, activation, x);
        }
    }
    Ok(None)
}

fn activate(
    view: View<'_>,
    node: &TypedNode,
    activation: Activation,
    x: OutletId,
) -> TractResult<Option<TypedModelPatch>> {
    let mut draft = Draft::new(view, &node.name, &[OutletId::new(node.id, 0)]);
    let input = draft.tap(x)?;
    let y = draft.wire(Activate(activation), &[input])?;
    draft.replace(OutletId::new(node.id, 0), y)
}

/// What `y` may be an activation of: outlets of its shape before it, the nearest first, with nothing but element-wise
/// operators and numbers between.
fn candidates(view: View<'_>, y: OutletId) -> Vec<OutletId> {
    let mut seen = vec![y];
    let mut next = 0;
    let mut curved = false;
    while let Some(node) = seen.get(next).map(|outlet| view.node(*outlet)) {
        next += 1;
        let elementwise = node.op_is::<TypedBinOp>() || node.op_is::<ElementWiseOp>();
        if next > MOST_PIECES || !elementwise {
            continue;
        }
        let curve = view.unary::<Erf>(node).is_some()
            || view.unary::<Tanh>(node).is_some()
            || view.unary::<Sigmoid>(node).is_some();
        curved |= curve;
        for input in &node.inputs {
            if view.constant(*input).is_none() && same_shape(view, *input, y) && !seen.contains(input) {
                seen.push(*input);
            }
        }
    }
    seen.remove(0);
    if curved { seen } else { vec![] }
}

/// The activation of `x` that `y` is.
fn computed(view: View<'_>, y: OutletId, x: OutletId) -> Option<Activation> {
    let grid: Vec<f32> = (-1500..=1500).map(|i| i as f32 / 125.0).collect();
    let mut shape = vec![1; view.fact(x)?.rank()];
    *shape.last_mut()? = grid.len();
    let cone = Cone::of_outlet(view.0, y, x, f32::fact(&shape))?;
    if cone.constants.iter().any(|constant| constant.len() != 1) {
        return None;
    }
    let x = Tensor::from_shape(&shape, &grid).ok()?;
    let outputs = cone.plan()?.run(vec![x.clone()]).ok()?;
    let got = numbers(outputs.first()?)?;
    let near = |activation: &Activation| {
        let close = |(got, expected): (&f32, &f32)| (got - expected).abs() <= TOLERANCE * expected.abs().max(1.0);
        let Some(expected) = alone(Activate(*activation), x.clone()) else { return false };
        numbers(&expected).is_some_and(|expected| got.iter().zip(expected).all(close))
    };
    [Activation::Gelu, Activation::GeluTanh, Activation::QuickGelu, Activation::Silu].into_iter().find(near)
}

fn numbers(tensor: &Tensor) -> Option<&[f32]> {
    tensor.try_as_plain_ram().ok()?.as_slice::<f32>().ok()
}

/// An activated layer times another layer of the same input becomes one layer of both, and a gate.
pub(super) fn gated(view: View<'_>, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
    rule_if_some!([left, right] = view.binary::<Mul>(node));
    for (gate, value) in [(left, right), (right, left)] {
        let (Some(first), Some(second)) = (view.own_linear(gate), view.own_linear(value)) else { continue };
        let (Some(activation), None) = (first.activation(), second.activation()) else { continue };
        let input = view.node(gate).inputs[0];
        let plain = !first.has_residual() && !second.has_residual() && first.format() == second.format();
        if !plain || first.outputs() != second.outputs() || view.node(value).inputs[0] != input {
            continue;
        }
        let both = Linear::new(
            &[first.dense(), second.dense()].concat(),
            2 * first.outputs(),
            first.inputs(),
            Some(&[first.bias(), second.bias()].concat()),
        );
        let both = both.and_then(|both| both.with_format(first.format())).map_err(TractError::msg)?;
        let named = names::joined(&[&view.node(gate).name, &view.node(value).name], "both");
        let mut draft = Draft::new(view, &named, &[]);
        let x = draft.tap(input)?;
        let halves = draft.wire(both, &[x])?;
        let y = draft.aside("gate", Gated(activation), &[halves])?;
        return draft.replace(OutletId::new(node.id, 0), y);
    }
    Ok(None)
}
