//! The embeddings of a graph, cut to the rows that a trimmed vocabulary has.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use emberlite::ops::{Embedding, Lookup, PositionBias, Table};
use tract_core::internal::TypedModelPatch;
use tract_core::prelude::{OutletId, TypedModel};

/// How many tokens the graph's embeddings of `input` have rows for; none where it has no such embedding.
pub fn rows(model: &TypedModel, input: &str) -> Option<usize> {
    let ids = outlet(model, input).ok()?;
    let tables = model.nodes().iter().filter_map(|node| Some((node, node.op_as::<Embedding>()?)));
    let rows = tables.flat_map(|(node, embedding)| {
        let of_ids =
            move |lookup: &Lookup| matches!(lookup, Lookup::Input(place) if node.inputs.get(*place) == Some(&ids));
        embedding.tables().iter().filter(move |(_, lookup)| of_ids(lookup)).map(|(table, _)| table.rows())
    });
    rows.min()
}

/// The ids that must keep their numbers: positions are counted from a padding id, which is a row of their table too.
pub fn counted_ids(model: &TypedModel) -> impl Iterator<Item = i64> {
    let tables = model.nodes().iter().filter_map(|node| node.op_as::<Embedding>()).flat_map(Embedding::tables);
    let paddings = tables.filter_map(|(_, lookup)| match lookup {
        Lookup::NonPadding { padding_id } => Some(*padding_id),
        _ => None,
    });
    paddings.max().into_iter().flat_map(|padding_id| 0..=padding_id)
}

/// Leaves of every embedding of the ids in `input` the rows `kept`, in this order.
///
/// # Errors
/// A graph that does anything else with the ids, or one that counts positions from a padding id that changes.
pub fn slice(model: &mut TypedModel, input: &str, kept: &[i64]) -> Result<()> {
    let ids = outlet(model, input)?;
    let users: Vec<usize> = model.node(ids.node).outputs[ids.slot].successors.iter().map(|inlet| inlet.node).collect();
    for user in users {
        let node = model.node(user);
        // It needs to know how long the texts are, and no more.
        if node.op_is::<PositionBias>() {
            continue;
        }
        let embedding = node.op_as::<Embedding>().with_context(|| {
            format!("the vocabulary can't be trimmed: `{}` ({}) reads the ids themselves", node.name, node.op.name())
        })?;
        let is_ids = |place: usize| node.inputs.get(place) == Some(&ids);
        let cut = |(table, lookup): &(Table, Lookup)| match lookup {
            Lookup::Input(place) if is_ids(*place) => Ok((chosen(table, kept)?, *lookup)),
            Lookup::NonPadding { padding_id }
                if is_ids(0) && kept.iter().take_while(|id| *id < padding_id).count() as i64 != *padding_id =>
            {
                bail!("`{}` counts positions from the padding id {padding_id}, which would change", node.name)
            }
            _ => Ok((table.clone(), *lookup)),
        };
        let tables = embedding.tables().iter().map(cut).collect::<Result<_>>()?;
        let smaller = Embedding::new(tables).map_err(|reason| anyhow!("{}: {reason}", node.name))?;
        let patch = TypedModelPatch::replace_single_op(model, node, &node.inputs, smaller);
        patch.and_then(|patch| patch.apply(model)).map_err(|error| anyhow!("{error:#}"))?;
    }
    model.compact().map_err(|error| anyhow!("{error:#}"))
}

fn outlet(model: &TypedModel, input: &str) -> Result<OutletId> {
    let found = model.inputs.iter().find(|outlet| model.node(outlet.node).name == input);
    found.copied().with_context(|| format!("the graph has no input {input:?}"))
}

fn chosen(table: &Table, rows: &[i64]) -> Result<Table> {
    let (width, values) = (table.width(), table.dense());
    let mut left = Vec::with_capacity(rows.len() * width);
    for row in rows {
        let row = usize::try_from(*row).ok().filter(|row| *row < table.rows());
        let row = row
            .with_context(|| format!("the embedding has {} rows, fewer than the tokenizer has tokens", table.rows()))?;
        left.extend_from_slice(&values[row * width..][..width]);
    }
    ensure!(!rows.is_empty(), "no token is left");
    Table::new(&left, rows.len(), width).map_err(|reason| anyhow!("{reason}"))
}
