//! A model that notes what the inputs of its linear layers are like.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use emberlite::ops::Linear;
use tract_core::internal::*;

use super::moments::Moments;

/// What was noted, by the name of the layer.
#[derive(Clone, Debug, Default)]
pub struct Observations(Arc<Mutex<BTreeMap<String, Moments>>>);

impl Observations {
    /// A copy of `model` that notes the inputs of these layers here.
    ///
    /// # Errors
    /// A patch that tract refuses.
    pub fn watch(&self, model: &TypedModel, layers: &[String]) -> anyhow::Result<TypedModel> {
        let mut watched = model.clone();
        let watch = |watched: &mut TypedModel| -> TractResult<()> {
            for id in 0..watched.nodes().len() {
                let node = watched.node(id);
                let Some(layer) = node.op_as::<Linear>().filter(|_| layers.contains(&node.name)) else { continue };
                let op = Observed { layer: layer.clone(), name: node.name.clone(), noted: self.clone() };
                TypedModelPatch::replace_single_op(watched, node, &node.inputs, op)?.apply(watched)?;
            }
            watched.compact()
        };
        watch(&mut watched).map_err(|error| anyhow::anyhow!("the layers can't be observed: {error:#}"))?;
        Ok(watched)
    }

    /// What was noted of a layer.
    pub fn take(&self, layer: &str) -> Option<Moments> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(layer)
    }

    fn add(&self, layer: &str, inputs: usize, rows: &[f32]) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.entry(layer.to_owned()).or_insert_with(|| Moments::new(inputs)).add(rows);
    }
}

/// A linear layer that notes its inputs.
#[derive(Clone, Debug)]
struct Observed {
    layer: Linear,
    name: String,
    noted: Observations,
}

impl PartialEq for Observed {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.layer == other.layer
    }
}

impl Eq for Observed {}

impl Op for Observed {
    fn name(&self) -> StaticName {
        "Observed".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Observed {
    op_out_of_plan!();

    fn eval(&self, ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        if let Some(x) = inputs.first() {
            self.noted.add(&self.name, self.layer.inputs(), x.try_as_plain_ram()?.as_slice::<f32>()?);
        }
        self.layer.eval(ctx, inputs)
    }
}

impl TypedOp for Observed {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        self.layer.output_facts(inputs)
    }

    as_op!();
}
