//! A model that notes what the inputs of its linear layers are like.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use emberlite::ops::Linear;
use tract_core::internal::*;

use crate::calibrate::Calibration;
use crate::progress::Progress;

/// What is noted of a layer's inputs.
pub trait Notes: Clone + Debug + Send + 'static {
    /// Of a layer with so many inputs, of which none was seen.
    fn new(inputs: usize) -> Self;

    /// Rows of inputs, one after the other, each times the layer's factors if it has such.
    fn add(&mut self, rows: &[f32]);
}

impl<A: Notes, B: Notes> Notes for (A, B) {
    fn new(inputs: usize) -> Self {
        (A::new(inputs), B::new(inputs))
    }

    fn add(&mut self, rows: &[f32]) {
        self.0.add(rows);
        self.1.add(rows);
    }
}

/// All rows of inputs.
#[derive(Clone, Debug)]
pub(super) struct Rows(pub(super) Vec<f32>);

impl Notes for Rows {
    fn new(_: usize) -> Self {
        Self(Vec::new())
    }

    fn add(&mut self, rows: &[f32]) {
        self.0.extend_from_slice(rows);
    }
}

/// Runs a model on the inputs to calibrate with, and tells what was noted of the layers that are named.
///
/// # Errors
/// A model that fails, or a layer that was never run.
pub fn observe<N: Notes>(
    model: &TypedModel,
    layers: &[String],
    calibration: &dyn Calibration,
    progress: &Progress,
) -> anyhow::Result<BTreeMap<String, N>> {
    let noted = Arc::new(Mutex::new(BTreeMap::new()));
    calibration.run(&watched(model, layers, &noted)?, progress)?;
    let noted = std::mem::take(&mut *noted.lock().unwrap_or_else(PoisonError::into_inner));
    match layers.iter().find(|layer| !noted.contains_key(*layer)) {
        Some(layer) => anyhow::bail!("{layer} is no linear layer, or was never run"),
        None => Ok(noted),
    }
}

/// Rows with each input times its factor.
pub(super) fn multiplied(rows: &[f32], factors: &[f32]) -> Vec<f32> {
    rows.iter().zip(factors.iter().cycle()).map(|(x, factor)| x * factor).collect()
}

type Noted<N> = Arc<Mutex<BTreeMap<String, N>>>;

/// A copy of the model that notes the inputs of these layers.
fn watched<N: Notes>(model: &TypedModel, layers: &[String], noted: &Noted<N>) -> anyhow::Result<TypedModel> {
    let mut watched = model.clone();
    let watch = |watched: &mut TypedModel| -> TractResult<()> {
        for id in 0..watched.nodes().len() {
            let node = watched.node(id);
            let Some(layer) = node.op_as::<Linear>().filter(|_| layers.contains(&node.name)) else { continue };
            let op = Observed { layer: layer.clone(), name: node.name.clone(), noted: noted.clone() };
            TypedModelPatch::replace_single_op(watched, node, &node.inputs, op)?.apply(watched)?;
        }
        watched.compact()
    };
    watch(&mut watched).map_err(|error| anyhow::anyhow!("the layers can't be observed: {error:#}"))?;
    Ok(watched)
}

/// A linear layer that notes its inputs.
#[derive(Clone, Debug)]
struct Observed<N> {
    layer: Linear,
    name: String,
    noted: Noted<N>,
}

impl<N> PartialEq for Observed<N> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.layer == other.layer
    }
}

impl<N> Eq for Observed<N> {}

impl<N: Notes> Op for Observed<N> {
    fn name(&self) -> StaticName {
        "Observed".into()
    }

    op_as_typed_op!();
}

impl<N: Notes> EvalOp for Observed<N> {
    op_out_of_plan!();

    fn eval(&self, ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        if let Some(x) = inputs.first() {
            let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
            let notes = noted.entry(self.name.clone()).or_insert_with(|| N::new(self.layer.inputs()));
            let rows = x.try_as_plain_ram()?.as_slice::<f32>()?;
            match self.layer.factors() {
                [] => notes.add(rows),
                factors => notes.add(&multiplied(rows, factors)),
            }
        }
        self.layer.eval(ctx, inputs)
    }
}

impl<N: Notes> TypedOp for Observed<N> {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        self.layer.output_facts(inputs)
    }

    as_op!();
}
