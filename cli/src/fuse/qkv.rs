//! Queries, keys and values that lie side by side go into attention as one tensor.

use emberlite::ops::{Attention, Linear};
use tract_core::internal::*;
use tract_core::ops::array::Slice;

use super::axes::{Factors, Layout, Part, arrange, origin};
use super::names;
use super::view::{Draft, View};

/// The layout of queries, keys or values as attention takes them, `[batch, tokens, heads * width]`.
pub(super) fn rows(view: View<'_>, op: &Attention, outlet: OutletId) -> Option<Layout> {
    let shape = view.floats(outlet).filter(|shape| shape.rank() == 3)?;
    let part = |label: char, size: TDim| Part { label, size };
    Some(Layout(vec![
        vec![part('b', shape[0].clone())],
        vec![part('s', shape[1].clone())],
        vec![part('h', op.heads.to_dim()), part('w', op.head_width.to_dim())],
    ]))
}

/// Whether there are as many queries as keys: the attention counts places from the last of each, exporters from the first.
pub(super) fn as_many(view: View<'_>, op: &Attention, node: &TypedNode) -> bool {
    let tokens = |at: usize| view.floats(*node.inputs.get(at)?).and_then(|shape| shape.get(1));
    op.fused || (tokens(0).is_some() && tokens(0) == tokens(1))
}

/// An attention over three layers of one tensor becomes an attention over one layer.
pub(super) fn layers(view: View<'_>, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
    rule_if_some!(op = node.op_as::<Attention>());
    rule_if!(!op.fused && node.inputs.len() == 3 + op.masks);
    let operands = &node.inputs[..3];
    let layers: Vec<&Linear> = operands.iter().filter_map(|outlet| view.own_linear(*outlet)).collect();
    rule_if_let!([first, _, _] = &*layers);
    let input = view.node(operands[0]).inputs[0];
    let alike = |layer: &&&Linear| {
        layer.outputs() == op.heads * op.head_width
            && layer.format() == first.format()
            && layer.activation().is_none()
            && !layer.has_residual()
    };
    rule_if!(layers.iter().filter(alike).count() == 3);
    rule_if!(operands.iter().all(|outlet| view.node(*outlet).inputs[0] == input));
    let weights = layers.iter().flat_map(|layer| layer.dense()).collect::<Vec<_>>();
    let biases = layers.iter().flat_map(|layer| layer.bias().to_vec()).collect::<Vec<_>>();
    let all = Linear::new(&weights, 3 * first.outputs(), first.inputs(), Some(&biases));
    let layer = all.and_then(|layer| layer.with_format(first.format())).map_err(TractError::msg)?;
    let named: Vec<&str> = operands.iter().map(|outlet| view.node(*outlet).name.as_str()).collect();
    let mut draft = Draft::anew(view, OutletId::new(node.id, 0));
    let x = draft.tap(input)?;
    let qkv = draft.wire_named(&names::joined(&named, "qkv"), layer, &[x])?;
    fused(draft, node, op, qkv)
}

/// An attention over three slices of one tensor becomes an attention over the tensor.
pub(super) fn slices(view: View<'_>, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
    rule_if_some!(op = node.op_as::<Attention>());
    rule_if!(!op.fused && node.inputs.len() == 3 + op.masks);
    let mut whole: Option<(OutletId, Layout)> = None;
    for (index, outlet) in node.inputs[..3].iter().enumerate() {
        rule_if_some!(wanted = rows(view, op, *outlet));
        let slice = origin(view, *outlet, wanted, &Layout(vec![]), Factors::Kept);
        rule_if_some!(cut = view.op::<Slice>(slice.outlet));
        rule_if!(cut.start == index.to_dim() && cut.end == (index + 1).to_dim());
        let mut layout = slice.layout;
        rule_if!(layout.0.get(cut.axis).is_some_and(|parts| parts.is_empty()));
        let base = view.node(slice.outlet).inputs[0];
        rule_if!(view.floats(base).is_some_and(|shape| shape[cut.axis] == 3.to_dim()));
        layout.0[cut.axis] = vec![Part { label: 't', size: 3.to_dim() }];
        match &whole {
            Some((outlet, known)) => rule_if!(*outlet == base && *known == layout),
            None => whole = Some((base, layout)),
        }
    }
    rule_if_some!((base, layout) = whole);
    rule_if_some!(Layout(mut axes) = rows(view, op, node.inputs[0]));
    rule_if_some!(last = axes.last_mut());
    last.insert(0, Part { label: 't', size: 3.to_dim() });
    let wanted = Layout(axes);
    let source = origin(view, base, layout, &wanted, Factors::Kept);
    let mut draft = Draft::anew(view, OutletId::new(node.id, 0));
    let qkv = draft.tap(source.outlet)?;
    let qkv = arrange(&mut draft, qkv, &source.layout, &wanted)?;
    fused(draft, node, op, qkv)
}

fn fused(
    mut draft: Draft<'_>,
    node: &TypedNode,
    op: &Attention,
    qkv: OutletId,
) -> TractResult<Option<TypedModelPatch>> {
    let mut inputs = tvec!(qkv);
    inputs.extend(draft.taps(&node.inputs[3..])?);
    let y = draft.wire(Attention { fused: true, ..op.clone() }, &inputs)?;
    draft.replace(OutletId::new(node.id, 0), y)
}
