//! A graph as matchers look at it, and a patch as they write it.

use emberlite::ops::Linear;
use tract_core::internal::*;
use tract_core::ops::binary::{BinMiniOp, TypedBinOp};
use tract_core::ops::element_wise::{ElementWiseMiniOp, ElementWiseOp};
use tract_core::ops::konst::Const;
use tract_core::ops::math::Mul;

use super::names;

/// Questions that matchers ask of a graph. Nothing here panics on a graph that is otherwise than expected.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a>(pub(super) &'a TypedModel);

impl<'a> View<'a> {
    pub(super) fn node(self, outlet: OutletId) -> &'a TypedNode {
        &self.0.nodes[outlet.node]
    }

    /// The operator that makes an outlet, if it is one of this kind.
    pub(super) fn op<T: Op>(self, outlet: OutletId) -> Option<&'a T> {
        self.node(outlet).op_as::<T>()
    }

    pub(super) fn fact(self, outlet: OutletId) -> Option<&'a TypedFact> {
        self.node(outlet).outputs.get(outlet.slot).map(|output| &output.fact)
    }

    /// The shape of an outlet of `f32`.
    pub(super) fn floats(self, outlet: OutletId) -> Option<&'a ShapeFact> {
        self.fact(outlet).filter(|fact| fact.datum_type == f32::datum_type()).map(|fact| &fact.shape)
    }

    pub(super) fn constant(self, outlet: OutletId) -> Option<&'a Arc<Tensor>> {
        self.op::<Const>(outlet).map(Const::val)
    }

    /// A constant's numbers, in row-major order.
    pub(super) fn numbers(self, outlet: OutletId) -> Option<&'a [f32]> {
        self.constant(outlet)?.try_as_plain_ram().ok()?.as_slice::<f32>().ok()
    }

    /// A constant that is the same number everywhere it is broadcast to.
    pub(super) fn scalar(self, outlet: OutletId) -> Option<f32> {
        match self.numbers(outlet)? {
            [number] => Some(*number),
            _ => None,
        }
    }

    /// A constant along the last axis alone: its `width` numbers.
    pub(super) fn along_last(self, outlet: OutletId, width: usize) -> Option<Vec<f32>> {
        let numbers = self.numbers(outlet)?;
        match self.constant(outlet)?.shape() {
            _ if numbers.len() == 1 => Some(vec![numbers[0]; width]),
            [leading @ .., last] if *last == width && leading.iter().all(|&size| size == 1) => Some(numbers.to_vec()),
            _ => None,
        }
    }

    /// Both operands of a binary operator of this kind.
    pub(super) fn binary<T: BinMiniOp>(self, node: &'a TypedNode) -> Option<[OutletId; 2]> {
        let op = node.op_as::<TypedBinOp>().filter(|op| op.0.is::<T>())?;
        match (&*node.inputs, op.1) {
            (&[left, right], None) => Some([left, right]),
            _ => None,
        }
    }

    /// The element-wise operator of a node, and what it is applied to.
    pub(super) fn unary<T: ElementWiseMiniOp>(self, node: &'a TypedNode) -> Option<(&'a T, OutletId)> {
        let op = node.op_as::<ElementWiseOp>().filter(|op| op.1.is_none())?;
        Some((op.0.downcast_ref::<T>()?, *node.inputs.first()?))
    }

    /// What is multiplied by a constant number, and the number.
    pub(super) fn scaled(self, outlet: OutletId) -> Option<(OutletId, f32)> {
        let [left, right] = self.binary::<Mul>(self.node(outlet))?;
        let scaled = |x, by| Some((x, self.scalar(by)?));
        scaled(left, right).or_else(|| scaled(right, left))
    }

    pub(super) fn is_output(self, outlet: OutletId) -> bool {
        self.0.outputs.contains(&outlet)
    }

    /// The nodes that read an outlet, each once.
    pub(super) fn users(self, outlet: OutletId) -> Vec<usize> {
        let successors = self.node(outlet).outputs.get(outlet.slot).map_or(&[][..], |output| &output.successors);
        let mut users: Vec<usize> = successors.iter().map(|inlet| inlet.node).collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    /// The only node that reads an outlet, once, where nothing else needs the outlet.
    pub(super) fn sole_user(self, outlet: OutletId) -> Option<&'a TypedNode> {
        match &*self.node(outlet).outputs.get(outlet.slot)?.successors {
            [inlet] if !self.is_output(outlet) => Some(&self.0.nodes[inlet.node]),
            _ => None,
        }
    }

    /// A linear layer whose result only one node needs, as the node to replace.
    pub(super) fn own_linear(self, outlet: OutletId) -> Option<&'a Linear> {
        self.sole_user(outlet)?;
        self.op::<Linear>(outlet)
    }
}

/// A patch in the making, whose nodes get names of their own.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    view: View<'a>,
    name: String,
    /// Nodes that the patch leaves without users: their names are free.
    vanishing: Vec<usize>,
    patch: TypedModelPatch,
}

impl<'a> Draft<'a> {
    /// A patch that is called after the layer which `piece` is a piece of, and leaves `vanishing` without users.
    pub(super) fn new(view: View<'a>, piece: &str, vanishing: &[OutletId]) -> Self {
        let vanishing = vanishing.iter().map(|outlet| outlet.node).collect();
        Self { view, name: names::clean(piece), vanishing, patch: TypedModelPatch::default() }
    }

    /// A patch that makes one of our operators anew, under the same name.
    pub(super) fn anew(view: View<'a>, outlet: OutletId) -> Self {
        let name = view.node(outlet).name.clone();
        Self { view, name, vanishing: vec![outlet.node], patch: TypedModelPatch::default() }
    }

    pub(super) fn tap(&mut self, outlet: OutletId) -> TractResult<OutletId> {
        self.patch.tap_model(self.view.0, outlet)
    }

    pub(super) fn taps(&mut self, outlets: &[OutletId]) -> TractResult<TVec<OutletId>> {
        self.patch.taps(self.view.0, outlets)
    }

    /// The fact of an outlet of the patch.
    pub(super) fn fact(&self, outlet: OutletId) -> TractResult<&TypedFact> {
        self.patch.model.outlet_fact(outlet)
    }

    /// Wires the operator that the patch is for.
    pub(super) fn wire(&mut self, op: impl Into<Box<dyn TypedOp>>, inputs: &[OutletId]) -> TractResult<OutletId> {
        self.wire_named(&self.name.clone(), op, inputs)
    }

    /// Wires an operator that the one of the patch needs.
    pub(super) fn aside(
        &mut self,
        role: &str,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> TractResult<OutletId> {
        self.wire_named(&format!("{}_{role}", self.name), op, inputs)
    }

    /// Wires an operator with a name of its own.
    pub(super) fn wire_named(
        &mut self,
        name: &str,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> TractResult<OutletId> {
        let taken = |name: &String| {
            let stays = |node: &&TypedNode| !self.vanishing.contains(&node.id);
            let mut present = self.view.0.nodes.iter().filter(stays).chain(&self.patch.model.nodes);
            present.any(|node| node.name == *name)
        };
        let name = names::fresh(name, taken);
        self.patch.wire_node(name, op, inputs)?.first().copied().context("an operator without an output")
    }

    /// Puts an outlet of the patch in the place of one of the graph.
    pub(super) fn replace(mut self, old: OutletId, new: OutletId) -> TractResult<Option<TypedModelPatch>> {
        self.patch.shunt_outside(self.view.0, old, new)?;
        Ok(Some(self.patch))
    }
}
