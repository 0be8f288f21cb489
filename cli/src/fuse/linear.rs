//! Products with a constant matrix become linear layers, which take their bias, activation and residual in.

use emberlite::ops::Linear;
use emberlite::ops::linear::PANEL;
use tract_core::internal::*;
use tract_core::ops::einsum::EinSum;
use tract_core::ops::math::{Add, Mul};

use super::activate;
use super::axes::{Factors, Layout, Part, arrange, origin, same_shape};
use super::view::{Draft, View};

/// What a layer with fewer inputs computes is arithmetic, such as angles from positions, rather than a layer.
const FEWEST_INPUTS: usize = 2;
/// How many numbers a layer's panels may have more than its weights, where that is not all for speed.
const MOST_PADDING: usize = 1 << 18;

/// A product of a tensor with a constant, as a layer needs it.
struct Product {
    x: OutletId,
    from: Layout,
    /// The layout of the layer's input: one axis for each that stays, and the inputs.
    wanted: Layout,
    /// The layout of the layer's result, and the one of the product's.
    result: Layout,
    output: Layout,
    /// `[outputs, inputs]` in row-major order.
    weight: Tensor,
    inputs: usize,
    outputs: usize,
    constant: OutletId,
}

/// An `EinSum` of a tensor and a constant, with the scale and the bias of every output after it, becomes a `Linear`.
pub(super) fn product(view: View<'_>, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
    rule_if_some!(product = read(view, node)?);
    layer(view, node, product)
}

/// As [`product`], where a layer takes its inputs as they lie, and gives its outputs as they are to lie: a convolution of
/// single pixels, whose channels are not the last axis, is faster as it is.
pub(super) fn product_in_place(view: View<'_>, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
    rule_if_some!(product = read(view, node)?);
    let source = origin(view, product.x, product.from.clone(), &product.wanted, Factors::Kept);
    rule_if!(source.layout.in_order_of(&product.wanted) && product.result.in_order_of(&product.output));
    rule_if!((product.outputs.next_multiple_of(PANEL) - product.outputs) * product.inputs <= MOST_PADDING);
    layer(view, node, product)
}

fn layer(view: View<'_>, node: &TypedNode, product: Product) -> TractResult<Option<TypedModelPatch>> {
    let mut weight = product.weight.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
    let mut bias: Option<Vec<f32>> = None;
    let mut last = OutletId::new(node.id, 0);
    let plain = product.result == product.output;
    while let Some(user) = view.sole_user(last).filter(|_| plain) {
        let other = |[left, right]: [OutletId; 2]| if left == last { right } else { left };
        let column = |operands| view.along_last(other(operands), product.outputs);
        if !same_shape(view, OutletId::new(user.id, 0), last) {
            break;
        }
        if let Some(terms) = view.binary::<Add>(user).and_then(column) {
            let sum = bias.unwrap_or_else(|| vec![0.0; product.outputs]);
            bias = Some(sum.iter().zip(terms).map(|(sum, term)| sum + term).collect());
        } else if let Some(factors) = view.binary::<Mul>(user).and_then(column) {
            for (row, factor) in weight.chunks_exact_mut(product.inputs).zip(&factors) {
                row.iter_mut().for_each(|weight| *weight *= factor);
            }
            bias = bias.map(|bias| bias.iter().zip(&factors).map(|(bias, factor)| bias * factor).collect());
        } else {
            break;
        }
        last = OutletId::new(user.id, 0);
    }
    let op = Linear::new(&weight, product.outputs, product.inputs, bias.as_deref()).map_err(TractError::msg)?;
    let constant = &view.node(product.constant).name;
    let named = constant.strip_suffix("_weight_0").unwrap_or(&view.node(last).name);
    let source = origin(view, product.x, product.from, &product.wanted, Factors::Kept);
    let mut draft = Draft::new(view, named, &[last]);
    let x = draft.tap(source.outlet)?;
    let x = arrange(&mut draft, x, &source.layout, &product.wanted)?;
    let y = draft.wire(op, &[x])?;
    let y = arrange(&mut draft, y, &product.result, &product.output)?;
    draft.replace(last, y)
}

fn read(view: View<'_>, node: &TypedNode) -> TractResult<Option<Product>> {
    rule_if_some!(op = node.op_as::<EinSum>());
    rule_if!(op.q_params.is_none() && node.inputs.len() == 2 && op.operating_dt == f32::datum_type());
    let constants = [view.numbers(node.inputs[0]).is_some(), view.numbers(node.inputs[1]).is_some()];
    let (x, w) = match constants {
        [false, true] => (0, 1),
        [true, false] => (1, 0),
        _ => return Ok(None),
    };
    rule_if_some!(tensor = view.constant(node.inputs[w]));
    rule_if_some!(shape = view.floats(node.inputs[x]));
    rule_if_some!(output_shape = view.floats(OutletId::new(node.id, 0)));
    let mut from = vec![vec![]; shape.rank()];
    let mut output = vec![vec![]; output_shape.rank()];
    let (mut kept, mut made, mut summed) = (vec![], vec![], vec![]);
    for axis in op.axes.iter_all_axes() {
        let place = |places: &TVec<usize>| if places.len() > 1 { None } else { Some(places.first().copied()) };
        rule_if_some!(in_x = place(&axis.inputs[x]));
        rule_if_some!(in_w = place(&axis.inputs[w]));
        rule_if_some!(in_y = place(&axis.outputs[0]));
        let part = |size: TDim| Part { label: axis.repr, size };
        let width = in_w.map(|at| tensor.shape()[at]);
        match (in_x, in_y) {
            (Some(at), Some(out)) => {
                rule_if!(width.is_none_or(|width| width == 1) && shape[at] == output_shape[out]);
                from[at] = vec![part(shape[at].clone())];
                output[out] = from[at].clone();
                kept.push((out, from[at].clone()));
            }
            (Some(at), None) if in_w.is_some() => {
                rule_if!(width.map(|width| width.to_dim()) == Some(shape[at].clone()));
                from[at] = vec![part(shape[at].clone())];
                summed.push((in_w, part(shape[at].clone())));
            }
            (Some(at), None) => rule_if!(shape[at].is_one()),
            (None, Some(out)) => {
                rule_if_some!(width = width);
                output[out] = vec![part(width.to_dim())];
                made.push((out, in_w, part(width.to_dim())));
            }
            (None, None) => rule_if!(width.is_none_or(|width| width == 1)),
        }
    }
    kept.sort_by_key(|(out, _)| *out);
    made.sort_by_key(|(out, ..)| *out);
    summed.sort_by_key(|(at, _)| *at);
    let order: Vec<usize> = made.iter().filter_map(|(_, at, _)| *at).chain(summed.iter().filter_map(|s| s.0)).collect();
    let units = (0..tensor.rank()).filter(|at| !order.contains(at));
    let order: Vec<usize> = order.iter().copied().chain(units).collect();
    let size = |places: &[usize]| places.iter().map(|&at| tensor.shape()[at]).product::<usize>();
    let (outputs, inputs) = (size(&order[..made.len()]), size(&order[made.len()..]));
    rule_if!(inputs >= FEWEST_INPUTS && outputs > 0);
    let rows: Vec<Vec<Part>> = kept.into_iter().map(|(_, part)| part).collect();
    let with = |parts: Vec<Part>| Layout(rows.iter().cloned().chain([parts]).collect());
    Ok(Some(Product {
        x: node.inputs[x],
        from: Layout(from),
        wanted: with(summed.into_iter().map(|(_, part)| part).collect()),
        result: with(made.into_iter().map(|(.., part)| part).collect()),
        output: Layout(output),
        weight: tensor.as_ref().clone().permute_axes(&order)?,
        inputs,
        outputs,
        constant: node.inputs[w],
    }))
}

/// An activation of a layer's result becomes the layer's own.
pub(super) fn activation(view: View<'_>, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
    rule_if_some!((activation, x) = activate::single(view, node));
    rule_if_some!(op = view.own_linear(x));
    rule_if!(op.activation().is_none() && !op.has_residual());
    let mut draft = Draft::anew(view, x);
    let inputs = draft.tap(view.node(x).inputs[0])?;
    let y = draft.wire(op.clone().with_activation(activation), &[inputs])?;
    draft.replace(OutletId::new(node.id, 0), y)
}

/// A tensor of the same shape that is added to a layer's result becomes the layer's residual.
pub(super) fn residual(view: View<'_>, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
    rule_if_some!([left, right] = view.binary::<Add>(node));
    for (layer, other) in [(left, right), (right, left)] {
        let Some(op) = view.own_linear(layer).filter(|op| !op.has_residual()) else { continue };
        if !same_shape(view, layer, other) || view.floats(other).is_none() {
            continue;
        }
        let mut draft = Draft::anew(view, layer);
        let x = draft.tap(view.node(layer).inputs[0])?;
        let other = draft.tap(other)?;
        let y = draft.wire(op.clone().with_residual(), &[x, other])?;
        return draft.replace(OutletId::new(node.id, 0), y);
    }
    Ok(None)
}
