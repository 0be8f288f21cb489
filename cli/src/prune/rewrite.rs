//! A model with other operators in some places.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Result, anyhow};
use emberlite::ops::PositionBias;
use tract_core::internal::translator::Translate;
use tract_core::internal::*;
use tract_core::ops::array::Gather;

/// The axis of heads in a mask `[batch, heads, queries, keys]`.
const HEADS: usize = 1;

/// What an operator of several in a node's place reads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wire {
    /// What the node reads by this slot.
    Input(usize),
    /// What an earlier one of the operators gives.
    Piece(usize),
}

/// One of several operators in a node's place.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// What comes after the node's name, empty for the last, which is called as the node is.
    pub(super) suffix: &'static str,
    pub(super) op: Box<dyn TypedOp>,
    pub(super) reads: Vec<Wire>,
}

/// What changes; every other node is wired anew, so that its shape follows from what does.
#[derive(Debug, Default)]
pub(super) struct Rewrite {
    /// Operators by the node they go to.
    ops: BTreeMap<usize, Box<dyn TypedOp>>,
    /// Several operators, one after the other, by the node that they go to.
    pieces: BTreeMap<usize, Vec<Piece>>,
    /// The heads that a node's input has left, by node and slot.
    heads: BTreeMap<(usize, usize), Vec<usize>>,
    /// Outlets that stand for others.
    shunts: BTreeMap<OutletId, OutletId>,
}

impl Rewrite {
    /// Puts an operator into the place of a node's.
    pub(super) fn replace(&mut self, node: usize, op: impl Into<Box<dyn TypedOp>>) {
        self.ops.insert(node, op.into());
    }

    /// Puts several operators into the place of a node's: what the last gives is what the node gave.
    pub(super) fn take_apart(&mut self, node: usize, pieces: Vec<Piece>) {
        self.pieces.insert(node, pieces);
    }

    /// Leaves a node these heads of a mask that it reads.
    pub(super) fn select_heads(&mut self, node: usize, slot: usize, kept: &[usize]) {
        self.heads.insert((node, slot), kept.to_vec());
    }

    /// Gives an earlier outlet to whatever reads a later one.
    pub(super) fn shunt(&mut self, later: OutletId, earlier: OutletId) {
        self.shunts.insert(later, earlier);
    }

    /// A copy of the model with all that in it.
    ///
    /// # Errors
    /// Operators that do not fit each other.
    pub(super) fn applied(&self, model: &TypedModel) -> Result<TypedModel> {
        let rewritten = self.translate_model(model).and_then(|mut rewritten| {
            rewritten.compact()?;
            Ok(rewritten)
        });
        rewritten.map_err(|error| anyhow!("the smaller layers do not fit together: {error:#}"))
    }

    /// The outlet that a node reads in the new model.
    fn input(
        &self,
        source: &TypedModel,
        node: &TypedNode,
        slot: usize,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
    ) -> TractResult<OutletId> {
        let outlet = node.inputs[slot];
        let there = |outlet: &OutletId| mapping.get(outlet).copied().context("a node comes before what it reads");
        let Some(kept) = self.heads.get(&(node.id, slot)) else { return there(&outlet) };
        let name = format!("{}_mask_{slot}", node.name);
        let mask = source.node(outlet.node);
        if let Some(bias) = mask.op_as::<PositionBias>() {
            let smaller = bias.with_heads(kept).map_err(|reason| format_err!("{}: {reason}", mask.name))?;
            return Ok(target.wire_node(name, smaller, &[there(&mask.inputs[0])?])?[0]);
        }
        let indexes: Vec<i64> = kept.iter().map(|head| *head as i64).collect();
        let indexes = target.add_const(format!("{name}_heads"), tensor1(&indexes))?;
        Ok(target.wire_node(name, Gather::new(HEADS), &[there(&outlet)?, indexes])?[0])
    }
}

impl Translate<TypedFact, Box<dyn TypedOp>, TypedFact, Box<dyn TypedOp>> for Rewrite {
    fn translate_node(
        &self,
        source: &TypedModel,
        node: &TypedNode,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
    ) -> TractResult<TVec<OutletId>> {
        let inputs = (0..node.inputs.len()).map(|slot| self.input(source, node, slot, target, mapping));
        let inputs: TVec<OutletId> = inputs.collect::<TractResult<_>>()?;
        let mut outlets = match self.pieces.get(&node.id) {
            Some(pieces) => tvec!(wired(pieces, &node.name, &inputs, target)?),
            None => target.wire_node(&node.name, self.ops.get(&node.id).unwrap_or(&node.op).clone(), &inputs)?,
        };
        for (slot, outlet) in outlets.iter_mut().enumerate() {
            if let Some(earlier) = self.shunts.get(&OutletId::new(node.id, slot)) {
                *outlet = *mapping.get(earlier).context("a node comes before what it reads")?;
            }
        }
        Ok(outlets)
    }
}

fn wired(pieces: &[Piece], name: &str, inputs: &[OutletId], target: &mut TypedModel) -> TractResult<OutletId> {
    let mut made: Vec<OutletId> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let read = |wire: &Wire| match wire {
            Wire::Input(slot) => inputs.get(*slot).copied(),
            Wire::Piece(piece) => made.get(*piece).copied(),
        };
        let reads: TVec<OutletId> =
            piece.reads.iter().map(read).collect::<Option<_>>().context("a piece is missing")?;
        made.push(target.wire_node(format!("{name}{}", piece.suffix), piece.op.clone(), &reads)?[0]);
    }
    made.last().copied().context("no operator is left")
}
