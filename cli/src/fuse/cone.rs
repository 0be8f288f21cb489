//! What a part of a graph computes, found by running it: exporters spell the same function in too many ways to list.

use std::collections::HashMap;

use emberlite::engine::Plan;
use tract_core::internal::*;
use tract_core::ops::source::TypedSource;

/// Parts that are greater than this are not run.
const MOST_NODES: usize = 120;

/// The nodes that an outlet is computed from, as a graph of their own.
#[derive(Debug)]
pub(super) struct Cone {
    model: TypedModel,
    /// The inputs of the graph that the outlet depends on, beyond their shapes.
    pub(super) sources: Vec<OutletId>,
    /// The constants on the way.
    pub(super) constants: Vec<Arc<Tensor>>,
}

impl Cone {
    /// What `outlet` is computed from, down to `given` and the graph's inputs; nothing where that is too much.
    ///
    /// The new graph has all inputs of the old one, so that the old one's symbols have values.
    pub(super) fn of_inputs(model: &TypedModel, outlet: OutletId) -> Option<Self> {
        let mut cone = Self::empty(model);
        let mut wired = HashMap::new();
        for input in &model.inputs {
            let node = model.nodes.get(input.node)?;
            let source = cone.model.add_source(node.name.clone(), model.outlet_fact(*input).ok()?.clone()).ok()?;
            wired.insert(*input, source);
        }
        cone.finish(model, outlet, wired)
    }

    /// What `outlet` is computed from `given` alone, as a function of such a tensor.
    pub(super) fn of_outlet(model: &TypedModel, outlet: OutletId, given: OutletId, fact: TypedFact) -> Option<Self> {
        let mut cone = Self::empty(model);
        let source = cone.model.add_source("x", fact).ok()?;
        cone.finish(model, outlet, HashMap::from([(given, source)]))
    }

    fn empty(model: &TypedModel) -> Self {
        let empty = TypedModel { symbols: model.symbols.clone(), ..TypedModel::default() };
        Self { model: empty, sources: Vec::new(), constants: Vec::new() }
    }

    fn finish(mut self, model: &TypedModel, outlet: OutletId, wired: HashMap<OutletId, OutletId>) -> Option<Self> {
        let mut wired = wired;
        let inputs: Vec<OutletId> = wired.keys().copied().collect();
        let mut open = vec![(outlet, false)];
        while let Some((outlet, entered)) = open.pop() {
            if let Some(input) = inputs.iter().find(|input| **input == outlet) {
                if !self.sources.contains(input) {
                    self.sources.push(*input);
                }
                continue;
            }
            if wired.contains_key(&outlet) {
                continue;
            }
            let node = model.nodes.get(outlet.node)?;
            if node.op_is::<TypedSource>() || self.model.nodes.len() > MOST_NODES {
                return None;
            }
            if !entered {
                open.push((outlet, true));
                open.extend(node.inputs.iter().map(|input| (*input, false)));
                continue;
            }
            if let Some(constant) = node.op_as::<tract_core::ops::konst::Const>() {
                self.constants.push(constant.val().clone());
            }
            let given: TVec<OutletId> =
                node.inputs.iter().map(|input| wired.get(input).copied()).collect::<Option<_>>()?;
            let name = format!("n{}", self.model.nodes.len());
            let made = self.model.wire_node(name, node.op.clone(), &given).ok()?;
            wired.extend(made.into_iter().enumerate().map(|(slot, made)| (OutletId::new(node.id, slot), made)));
        }
        self.model.select_output_outlets(&[*wired.get(&outlet)?]).ok()?;
        Some(self)
    }

    /// The cone, ready to run.
    pub(super) fn plan(self) -> Option<Plan> {
        Plan::new(self.model).ok()
    }
}

/// What an operator makes of one tensor.
pub(super) fn alone(op: impl Into<Box<dyn TypedOp>>, input: Tensor) -> Option<Arc<Tensor>> {
    let mut model = TypedModel::default();
    let x = model.add_source("x", TypedFact::dt_shape(input.datum_type(), input.shape())).ok()?;
    let y = model.wire_node("y", op, &[x]).ok()?;
    model.select_output_outlets(&y).ok()?;
    Plan::new(model).ok()?.run(vec![input]).ok()?.into_iter().next()
}
