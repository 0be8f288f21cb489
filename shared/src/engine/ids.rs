//! Inputs whose integers choose rows of a table: which integers have a row.

use std::ops::Range;

use tract_core::internal::{AxisOp, DatumType, OutletId};
use tract_core::ops::array::Gather;
use tract_core::ops::cast::Cast;
use tract_core::ops::identity::Identity;
use tract_core::prelude::{Tensor, TypedModel, TypedNode};

use super::EngineError;
use crate::ops::{Embedding, Lookup};

/// An input of integers that choose rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    input: String,
    known: Range<i64>,
}

/// For every input of a graph, the integers that have a row in each of the tables they choose from; none for an input
/// that chooses no row, or not by its numbers as they are.
pub(super) fn find(model: &TypedModel) -> Vec<Option<Ids>> {
    let ids = |outlet: &OutletId| {
        let known = known(model, *outlet)?;
        Some(Ids { input: model.node(outlet.node).name.clone(), known })
    };
    model.inputs.iter().map(ids).collect()
}

impl Ids {
    /// The integers that have a row.
    pub(super) fn known(&self) -> Range<i64> {
        self.known.clone()
    }

    /// Whether every integer of a tensor has a row.
    ///
    /// # Errors
    /// [`EngineError::UnknownId`] names the first that has none.
    pub(super) fn check(&self, tensor: &Tensor) -> Result<(), EngineError> {
        let wide = tensor.cast_to::<i64>().ok();
        let numbers = wide.as_deref().and_then(|wide| wide.as_plain_ram()?.as_slice::<i64>().ok().map(<[i64]>::to_vec));
        match numbers.unwrap_or_default().into_iter().find(|id| !self.known.contains(id)) {
            Some(id) => Err(EngineError::UnknownId { input: self.input.clone(), id, rows: self.known.end }),
            None => Ok(()),
        }
    }
}

/// The integers that have a row in every table that `outlet` chooses from.
fn known(model: &TypedModel, outlet: OutletId) -> Option<Range<i64>> {
    let mut known: Option<Range<i64>> = None;
    let mut outlets = vec![outlet];
    while let Some(outlet) = outlets.pop() {
        for inlet in &model.node(outlet.node).outputs.get(outlet.slot)?.successors {
            let user = model.node(inlet.node);
            if keeps_integers(user) {
                outlets.push(user.id.into());
            } else if let Some(rows) = rows(model, user, inlet.slot) {
                known = Some(known.map_or(rows.clone(), |both| both.start.max(rows.start)..both.end.min(rows.end)));
            }
        }
    }
    known
}

/// The integers that choose a row where they come in by `slot`; a `Gather` also counts rows from the end.
fn rows(model: &TypedModel, user: &TypedNode, slot: usize) -> Option<Range<i64>> {
    if let Some(gather) = user.op_as::<Gather>().filter(|_| slot == 1) {
        let table = model.outlet_fact(*user.inputs.first()?).ok()?;
        let rows = table.shape.get(gather.axis)?.as_i64()?;
        return Some(-rows..rows);
    }
    let tables = user.op_as::<Embedding>()?.tables().iter();
    let rows = tables.filter(|(_, lookup)| *lookup == Lookup::Input(slot)).map(|(table, _)| table.rows());
    Some(0..i64::try_from(rows.min()?).ok()?)
}

fn keeps_integers(node: &TypedNode) -> bool {
    let integer = |to: DatumType| to.is_integer() && to.size_of() >= 4;
    node.op_is::<AxisOp>() || node.op_is::<Identity>() || node.op_as::<Cast>().is_some_and(|cast| integer(cast.to))
}
