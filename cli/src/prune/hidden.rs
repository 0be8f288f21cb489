//! Feed-forward networks in a graph: a linear layer, what is done to each of its outputs, and the layer that reads them.

use std::collections::BTreeMap;

use emberlite::ops::{Activate, Gated, Linear};
use tract_core::internal::*;
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::element_wise::ElementWiseOp;
use tract_core::ops::konst::Const;

/// Neurons that one layer reads and nothing else does. Neuron `i` is the outputs `i`, `i + width`, ... of each of the
/// layers that make them.
#[derive(Clone, Debug)]
pub(super) struct Hidden {
    /// The name of the layer that reads the neurons.
    pub(super) reader: String,
    /// How many neurons there are.
    pub(super) width: usize,
    /// The layers that make them, by name, and how many of its outputs a neuron has: two of a layer before a gate.
    pub(super) makers: BTreeMap<String, usize>,
}

/// The feed-forward networks of a model, in the graph's order.
pub(super) fn hidden(model: &TypedModel) -> Vec<Hidden> {
    let order = model.eval_order().unwrap_or_default();
    order.into_iter().filter_map(|id| of_reader(model, model.node(id))).collect()
}

fn of_reader(model: &TypedModel, reader: &TypedNode) -> Option<Hidden> {
    let width = reader.op_as::<Linear>()?.inputs();
    let mut cone = Cone { model, makers: BTreeMap::new(), between: Vec::new(), bends: false };
    cone.trace(*reader.inputs.first()?, 1)?;
    let Cone { makers, between, bends, .. } = cone;
    let within = |id: usize| id == reader.id || between.contains(&id);
    let alone = between.iter().chain(makers.keys()).all(|id| {
        let outlet = OutletId::new(*id, 0);
        let read = model.node(*id).outputs.iter().flat_map(|output| &output.successors);
        !model.outputs.contains(&outlet) && read.into_iter().all(|inlet| within(inlet.node))
    });
    // A reader that adds its own input as a residual reads the neurons twice.
    let once = reader.inputs.iter().filter(|input| between.contains(&input.node) || makers.contains_key(&input.node));
    let sized = |(id, copies): (&usize, &usize)| {
        let linear = model.node(*id).op_as::<Linear>()?;
        (linear.outputs() == width * copies).then(|| (model.node(*id).name.clone(), *copies))
    };
    let named: BTreeMap<String, usize> = makers.iter().map(sized).collect::<Option<_>>()?;
    let fits = alone && bends && once.count() == 1 && named.len() == makers.len() && width > 1;
    fits.then(|| Hidden { reader: reader.name.clone(), width, makers: named })
}

/// What lies between a reader and the layers that make what it reads.
struct Cone<'a> {
    model: &'a TypedModel,
    makers: BTreeMap<usize, usize>,
    between: Vec<usize>,
    /// Whether something between is not linear.
    bends: bool,
}

impl Cone<'_> {
    /// Follows an outlet back to linear layers; none where something else than a function of each element is between.
    fn trace(&mut self, outlet: OutletId, copies: usize) -> Option<()> {
        let node = self.model.node(outlet.node);
        if let Some(linear) = node.op_as::<Linear>() {
            self.bends |= linear.activation().is_some();
            let known = self.makers.insert(node.id, copies);
            return (!linear.has_residual() && known.is_none_or(|known| known == copies)).then_some(());
        }
        self.between.push(node.id);
        let copies = match node.op_is::<Gated>() {
            true if copies == 1 => 2,
            true => return None,
            false => copies,
        };
        self.bends |= !node.op_is::<TypedBinOp>();
        if node.op_is::<Activate>() || node.op_is::<Gated>() || node.op_is::<ElementWiseOp>() {
            return self.trace(*node.inputs.first()?, copies);
        }
        let op = node.op_as::<TypedBinOp>()?;
        let [left, right] = &*node.inputs else { return None };
        let operands: Vec<OutletId> = [*left, *right].into_iter().filter(|outlet| !self.is_number(*outlet)).collect();
        self.bends |= operands.len() == 2 && op.0.name() == "Mul";
        if operands.is_empty() {
            return None;
        }
        operands.into_iter().try_for_each(|operand| self.trace(operand, copies))
    }

    /// Whether an outlet is the same number for every neuron.
    fn is_number(&self, outlet: OutletId) -> bool {
        self.model.node(outlet.node).op_as::<Const>().is_some_and(|constant| constant.val().len() == 1)
    }
}
