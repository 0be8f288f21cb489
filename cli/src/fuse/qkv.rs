//! The three layers that make queries, keys and values of one tensor become one.

use emberlite::ops::{Attention, Linear};
use tract_core::internal::*;

use super::names;
use super::view::{Draft, View};

/// An attention over three layers of one tensor becomes an attention over one layer, with queries, keys and values side
/// by side.
pub(super) fn qkv(view: View<'_>, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
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
    let both = Linear::new(&weights, 3 * first.outputs(), first.inputs(), Some(&biases));
    let layer = both.and_then(|layer| layer.with_format(first.format())).map_err(TractError::msg)?;
    let named: Vec<&str> = operands.iter().map(|outlet| view.node(*outlet).name.as_str()).collect();
    let mut draft = Draft::anew(view, OutletId::new(node.id, 0));
    let x = draft.tap(input)?;
    let mut inputs = tvec!(draft.wire_named(&names::joined(&named, "qkv"), layer, &[x])?);
    inputs.extend(draft.taps(&node.inputs[3..])?);
    let y = draft.wire(Attention { fused: true, ..op.clone() }, &inputs)?;
    draft.replace(OutletId::new(node.id, 0), y)
}
