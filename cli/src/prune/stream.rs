//! The residual stream of a transformer: what each layer adds to, found by its sums.

use emberlite::ops::{Attention, CausalAttention, Linear, Norm};
use tract_core::internal::*;
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::nn::Softmax;

/// A layer: attention and a feed-forward network, between two values of the stream that have the same shape.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// What the layer is called: its attention's name.
    pub(super) name: String,
    /// The value before.
    pub(super) from: OutletId,
    /// The value after.
    pub(super) to: OutletId,
    /// The names of the nodes between, that of `to` included.
    pub(super) nodes: Vec<String>,
}

/// The layers of a model, in the graph's order. One with something within that is needed elsewhere is none.
pub(super) fn layers(model: &TypedModel) -> Vec<Layer> {
    let Some(reach) = Reach::of(model) else { return Vec::new() };
    let blocks: Vec<Block<'_>> = reach.order.iter().filter_map(|id| reach.block(model.node(*id))).collect();
    let pair = |first: &Block<'_>| {
        let attention = first.attention?;
        let second = blocks.iter().find(|block| block.from == first.to && block.attention.is_none())?;
        let inside = reach.between(first.from, second.to);
        let closed = inside.iter().filter(|id| **id != second.to.node).all(|id| {
            let node = model.node(*id);
            let is_output = model.outputs.iter().any(|outlet| outlet.node == *id);
            let mut read = node.outputs.iter().flat_map(|output| &output.successors);
            !is_output && read.all(|inlet| inside.contains(&inlet.node))
        });
        let shape = |outlet| model.outlet_fact(outlet).ok().map(|fact| &fact.shape);
        let nodes = inside.iter().map(|id| model.node(*id).name.clone()).collect();
        let layer = Layer { name: attention.name.clone(), from: first.from, to: second.to, nodes };
        (closed && shape(first.from) == shape(second.to)).then_some(layer)
    };
    blocks.iter().filter_map(pair).collect()
}

/// What is added to the stream at one place.
struct Block<'a> {
    from: OutletId,
    to: OutletId,
    /// The attention in it.
    attention: Option<&'a TypedNode>,
}

/// Which nodes a node's value depends on.
struct Reach<'a> {
    model: &'a TypedModel,
    order: Vec<usize>,
    /// By node: whether it depends on a node.
    depends: Vec<Vec<bool>>,
}

impl<'a> Reach<'a> {
    fn of(model: &'a TypedModel) -> Option<Self> {
        let order = model.eval_order().ok()?;
        let count = model.nodes().len();
        let mut depends = vec![Vec::new(); count];
        for id in &order {
            let mut on = vec![false; count];
            for input in &model.node(*id).inputs {
                on[input.node] = true;
                let further: &Vec<bool> = &depends[input.node];
                on.iter_mut().zip(further).for_each(|(on, further)| *on |= further);
            }
            depends[*id] = on;
        }
        Some(Self { model, order, depends })
    }

    fn on(&self, later: usize, earlier: usize) -> bool {
        self.depends[later].get(earlier).copied().unwrap_or(false)
    }

    /// The nodes after one outlet that another needs, the other's own included.
    fn between(&self, from: OutletId, to: OutletId) -> Vec<usize> {
        let inside = |id: &usize| self.on(*id, from.node) && (*id == to.node || self.on(to.node, *id));
        self.order.iter().copied().filter(inside).collect()
    }

    /// What a node adds to the stream, if it does: one of its operands comes from the other.
    fn block(&self, node: &'a TypedNode) -> Option<Block<'a>> {
        let &[left, right] = &*node.inputs else { return None };
        let adds = node.op_as::<Linear>().is_some_and(Linear::has_residual)
            || node.op_is::<Norm>()
            || node.op_as::<TypedBinOp>().is_some_and(|op| op.0.name() == "Add" && op.1.is_none());
        let (from, branch) = match () {
            () if !adds => return None,
            () if self.on(left.node, right.node) => (right, left),
            () if self.on(right.node, left.node) => (left, right),
            () => return None,
        };
        let inside: Vec<&TypedNode> = self.between(from, branch).into_iter().map(|id| self.model.node(id)).collect();
        inside.iter().any(|node| node.op_is::<Linear>()).then_some(())?;
        let attends = |node: &&&TypedNode| {
            node.op_is::<Attention>() || node.op_is::<CausalAttention>() || node.op_is::<Softmax>()
        };
        Some(Block { from, to: self.normed(node, from), attention: inside.iter().find(attends).copied() })
    }

    /// What the stream is after a sum: its norm, where the stream is normed after every sum. It is where it was normed
    /// before, or where what comes next is added to the norm.
    fn normed(&self, sum: &TypedNode, from: OutletId) -> OutletId {
        let outlet = OutletId::new(sum.id, 0);
        let [inlet] = &*sum.outputs[0].successors else { return outlet };
        let norm = self.model.node(inlet.node);
        if sum.op_is::<Norm>() || !norm.op_is::<Norm>() || norm.inputs.len() > 1 {
            return outlet;
        }
        let adds = |inlet: &InletId| {
            let user = self.model.node(inlet.node);
            let adds = user.op_is::<Linear>() || user.op_is::<Norm>() || user.op_is::<TypedBinOp>();
            adds && user.inputs.len() == 2 && (inlet.slot == 1 || !user.op_is::<Linear>())
        };
        let goes_on = self.model.node(from.node).op_is::<Norm>() || norm.outputs[0].successors.iter().any(adds);
        if goes_on { OutletId::new(norm.id, 0) } else { outlet }
    }
}
