//! `--quantize`: the weights of linear layers and embeddings in a smaller format, where that costs little.

mod agreement;
mod apply;
mod gptq;
mod groups;
mod histogram;
pub(crate) mod keep;
mod layer_loss;
mod mixed;
mod moments;
mod observe;
pub(crate) mod parallel;
mod q4;
mod range;
mod scheme;
mod sensitivity;
mod smooth;
mod static_range;
mod statistics;
mod ties;

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use emberlite::ops::{Embedding, Linear, Table, WeightFormat};
use tract_core::internal::{StaticName, TractResult, TypedModelPatch, TypedNode, TypedOp, format_err};
use tract_core::prelude::TypedModel;
use tract_core::transform::ModelTransform;

pub use agreement::{Measure, rounded};
pub use apply::Quantizer;
pub(crate) use groups::groups;
pub(crate) use keep::AUTO;
pub use keep::Keep;
pub use mixed::mixed;
pub use moments::Moments;
pub use observe::{Notes, observe};
pub use range::RangeMethod;
pub use scheme::Scheme;
pub use sensitivity::Probe;
pub use smooth::Smooth;
pub(crate) use ties::Ties;

/// The next higher precision: of a layer that is kept, or that has no form in `format`.
pub fn higher(format: WeightFormat) -> WeightFormat {
    match format {
        WeightFormat::Q4 => WeightFormat::Int8,
        WeightFormat::Int8 => WeightFormat::F16,
        WeightFormat::F16 | WeightFormat::Bf16 | WeightFormat::F32 => WeightFormat::F32,
    }
}

/// The names of the nodes whose weights can be quantized, in the graph's order. An embedding that is tied to a layer has
/// none of its own.
pub fn layers(model: &TypedModel) -> Vec<String> {
    let own = |embedding: &Embedding| embedding.tables().iter().any(|(table, _)| !table.is_tied());
    let has_weights = |node: &&TypedNode| node.op_is::<Linear>() || node.op_as::<Embedding>().is_some_and(own);
    model.nodes().iter().filter(has_weights).map(|node| node.name.clone()).collect()
}

/// Gives the layers that are named the formats they are named with. A layer that has no form in its format gets the
/// next higher one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantize(pub BTreeMap<String, WeightFormat>);

impl Quantize {
    /// A copy of the model with its weights in these formats.
    ///
    /// # Errors
    /// A patch that tract refuses.
    pub fn applied(&self, model: &TypedModel) -> Result<TypedModel> {
        let mut quantized = model.clone();
        self.transform(&mut quantized).map_err(|error| anyhow!("quantizing the weights failed: {error:#}"))?;
        Ok(quantized)
    }
}

impl ModelTransform for Quantize {
    fn name(&self) -> StaticName {
        "quantize".into()
    }

    fn transform(&self, model: &mut TypedModel) -> TractResult<()> {
        let ties = Ties::of(model);
        for id in 0..model.nodes().len() {
            let node = model.node(id);
            let Some(op) = self.0.get(&node.name).map(|format| in_format(node, *format)).transpose()?.flatten() else {
                continue;
            };
            TypedModelPatch::replace_single_op(model, node, &node.inputs, op)?.apply(model)?;
        }
        ties.restore(model)?;
        model.compact()
    }
}

/// A copy of the model with other operators for the nodes that are named, whose inputs and names stay; embeddings that were
/// tied to layers are tied to the new ones.
fn replaced(model: &TypedModel, mut ops: BTreeMap<String, Box<dyn TypedOp>>) -> Result<TypedModel> {
    let ties = Ties::of(model);
    let mut model = model.clone();
    let mut replace = |model: &mut TypedModel| -> TractResult<()> {
        for id in 0..model.nodes().len() {
            let node = model.node(id);
            let Some(op) = ops.remove(&node.name) else { continue };
            TypedModelPatch::replace_single_op(model, node, &node.inputs, op)?.apply(model)?;
        }
        model.compact()
    };
    let done = replace(&mut model).and_then(|()| ties.restore(&mut model)).and_then(|()| model.compact());
    done.map_err(|error| anyhow!("replacing layers failed: {error:#}"))?;
    Ok(model)
}

/// A copy of the model with other linear layers for those that are named.
fn with_linears(model: &TypedModel, layers: BTreeMap<String, Linear>) -> Result<TypedModel> {
    replaced(model, layers.into_iter().map(|(name, linear)| (name, Box::new(linear) as Box<dyn TypedOp>)).collect())
}

/// The node's operator in another format; none if it has no weights.
fn in_format(node: &TypedNode, format: WeightFormat) -> TractResult<Option<Box<dyn TypedOp>>> {
    let failed = |reason: String| format_err!("{}: {reason}", node.name);
    if let Some(linear) = node.op_as::<Linear>() {
        let quantized = linear.clone().with_format(format);
        let quantized = quantized.or_else(|_| linear.clone().with_format(higher(format))).map_err(failed)?;
        return Ok(Some(Box::new(quantized)));
    }
    let Some(embedding) = node.op_as::<Embedding>() else { return Ok(None) };
    let table = |table: &Table| {
        let other = if format == WeightFormat::Bf16 { WeightFormat::F16 } else { higher(format) };
        table.with_format(format).or_else(|_| table.with_format(other)).map_err(failed)
    };
    let tables = embedding.tables().iter().map(|(values, lookup)| Ok((table(values)?, *lookup)));
    let quantized = Embedding::new(tables.collect::<TractResult<_>>()?).map_err(failed)?;
    Ok(Some(Box::new(quantized.with_factor(embedding.factor()))))
}

/// The format of a layer's weights; none for a node without.
pub fn format_of(node: &TypedNode) -> Option<WeightFormat> {
    let table = |embedding: &Embedding| embedding.tables().first().map(|(table, _)| table.format());
    node.op_as::<Linear>().map(Linear::format).or_else(|| node.op_as::<Embedding>().and_then(table))
}

#[cfg(test)]
mod tests;
