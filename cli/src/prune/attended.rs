//! Attention in a graph: the layers that make queries, keys and values, and the layer that reads what is attended to.

use emberlite::ops::{Attention, CausalAttention, Linear, PositionBias};
use tract_core::internal::*;

/// An attention whose heads one layer reads, and whose queries, keys and values nothing else needs.
#[derive(Clone, Debug)]
pub(super) struct Attended {
    /// The name of the attention.
    pub(super) attention: String,
    /// The name of the layer that reads it.
    pub(super) reader: String,
    /// The names of the layers that make queries, keys and values: one, or one for each.
    pub(super) makers: Vec<String>,
    /// How many units can go: heads, or heads of keys together with the queries that they are for.
    pub(super) units: usize,
    /// How many heads of queries a unit has.
    pub(super) queries: usize,
    /// Whether a unit has a head of keys and values of its own; else all share one.
    pub(super) own_keys: bool,
    /// How many numbers a head has.
    pub(super) head_width: usize,
}

impl Attended {
    /// How long the rows of queries, keys and values are.
    pub(super) fn rows(&self) -> [usize; 3] {
        let keys = if self.own_keys { self.units } else { 1 };
        [self.units * self.queries, keys, keys].map(|heads| heads * self.head_width)
    }

    /// The numbers of these units within queries, keys or values.
    pub(super) fn within(&self, part: usize, kept: &[usize]) -> Vec<usize> {
        let heads = if part == 0 { self.queries } else { 1 };
        let span = heads * self.head_width;
        match part > 0 && !self.own_keys {
            true => (0..span).collect(),
            false => kept.iter().flat_map(|unit| unit * span..(unit + 1) * span).collect(),
        }
    }
}

/// The attentions of a model whose heads can go, in the graph's order.
pub(super) fn attended(model: &TypedModel) -> Vec<Attended> {
    let order = model.eval_order().unwrap_or_default();
    order.into_iter().filter_map(|id| of_node(model, model.node(id))).collect()
}

fn of_node(model: &TypedModel, node: &TypedNode) -> Option<Attended> {
    let reader = sole_user(model, OutletId::new(node.id, 0))?;
    let linear = reader.op_as::<Linear>().filter(|_| reader.inputs[0] == OutletId::new(node.id, 0))?;
    let (operands, units, queries, own_keys, head_width) = if let Some(op) = node.op_as::<Attention>() {
        let operands = if op.fused { 1 } else { 3 };
        let masks = node.inputs.get(operands..)?;
        masks.iter().all(|mask| has_heads(model, *mask, op.heads).is_some()).then_some(())?;
        (operands, op.heads, 1, true, op.head_width)
    } else {
        let op = node.op_as::<CausalAttention>()?;
        match op.key_heads() {
            1 => (1, op.heads(), 1, op.heads() == 1, op.head_width()),
            keys => (1, keys, op.heads() / keys, true, op.head_width()),
        }
    };
    let makers = node.inputs[..operands].iter().map(|outlet| {
        let maker = model.node(outlet.node);
        let plain = maker.op_as::<Linear>().is_some_and(|linear| !linear.has_residual());
        (plain && sole_user(model, *outlet).is_some()).then(|| maker.name.clone())
    });
    let found = Attended {
        attention: node.name.clone(),
        reader: reader.name.clone(),
        makers: makers.collect::<Option<_>>()?,
        units,
        queries,
        own_keys,
        head_width,
    };
    let rows = found.rows();
    let sizes = node.inputs[..operands].iter().map(|outlet| Some(model.node(outlet.node).op_as::<Linear>()?.outputs()));
    let sizes: Vec<usize> = sizes.collect::<Option<_>>()?;
    let fits = if operands == 1 { sizes == [rows.iter().sum::<usize>()] } else { sizes == rows };
    (fits && linear.inputs() == rows[0] && units > 1).then_some(found)
}

/// Whether a mask differs from head to head; none where that can't be told.
pub(super) fn has_heads(model: &TypedModel, mask: OutletId, heads: usize) -> Option<bool> {
    let fact = model.outlet_fact(mask).ok()?;
    let size = fact.shape.get(1)?.to_usize().ok()?;
    let known = model.node(mask.node).op_as::<PositionBias>().is_none_or(|bias| bias.heads() == size);
    (known && (size == 1 || size == heads)).then_some(size > 1)
}

/// The only node that reads an outlet, once.
fn sole_user(model: &TypedModel, outlet: OutletId) -> Option<&TypedNode> {
    match &*model.node(outlet.node).outputs.get(outlet.slot)?.successors {
        [inlet] if !model.outputs.contains(&outlet) => Some(model.node(inlet.node)),
        _ => None,
    }
}
