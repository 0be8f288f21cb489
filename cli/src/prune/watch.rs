//! A model whose nodes are watched: what goes in and what comes out is noted.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use emberlite::ops::CausalAttention;
use tract_core::internal::*;

/// What is noted of a node.
pub(super) trait Note: Debug + Send + Sync {
    /// Takes note of one evaluation.
    ///
    /// # Errors
    /// Tensors of another type or size than expected.
    fn note(&self, inputs: &[TValue], outputs: &[TValue]) -> TractResult<()>;
}

/// The numbers of a tensor of `f32`.
pub(super) fn floats(tensor: &TValue) -> TractResult<&[f32]> {
    tensor.try_as_plain_ram()?.as_slice::<f32>()
}

/// A copy of a model whose nodes are watched, by their names. One without a cache ends there: its outputs are what the
/// watched nodes give.
///
/// # Errors
/// A patch that tract refuses.
pub(super) fn watched(model: &TypedModel, notes: &BTreeMap<String, Arc<dyn Note>>) -> Result<TypedModel> {
    let mut watched = model.clone();
    let watch = |watched: &mut TypedModel| -> TractResult<()> {
        for id in 0..watched.nodes().len() {
            let node = watched.node(id);
            let Some(note) = notes.get(&node.name) else { continue };
            let op = Watched { op: node.op.clone(), note: note.clone() };
            TypedModelPatch::replace_single_op(watched, node, &node.inputs, op)?.apply(watched)?;
        }
        if !watched.nodes().iter().any(|node| node.op_is::<CausalAttention>()) {
            let ends: Vec<OutletId> =
                watched.nodes().iter().filter(|node| node.op_is::<Watched>()).map(|node| node.id.into()).collect();
            watched.select_output_outlets(&ends)?;
        }
        watched.compact()
    };
    watch(&mut watched).map_err(|error| anyhow!("the layers can't be observed: {error:#}"))?;
    Ok(watched)
}

/// An operator that is watched.
#[derive(Clone, Debug)]
struct Watched {
    op: Box<dyn TypedOp>,
    note: Arc<dyn Note>,
}

impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        self.op == other.op && Arc::ptr_eq(&self.note, &other.note)
    }
}

impl Eq for Watched {}

impl Op for Watched {
    fn name(&self) -> StaticName {
        "Watched".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Watched {
    op_out_of_plan!();

    fn eval(&self, ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let outputs = self.op.eval(ctx, inputs.clone())?;
        self.note.note(&inputs, &outputs)?;
        Ok(outputs)
    }
}

impl TypedOp for Watched {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        self.op.output_facts(inputs)
    }

    as_op!();
}
