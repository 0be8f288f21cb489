//! `--quantize`: the weights of linear layers and embeddings in a smaller format, where that costs little.

mod agreement;
mod apply;
mod gptq;
pub(crate) mod keep;
mod moments;
mod observe;
mod parallel;
mod q4;
mod scheme;
mod sensitivity;
mod ties;

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use emberlite::ops::{Embedding, Linear, Q4Blocks, Table, WeightFormat};
use tract_core::internal::{StaticName, TractResult, TypedModelPatch, TypedNode, TypedOp, format_err};
use tract_core::prelude::TypedModel;
use tract_core::transform::ModelTransform;

pub use agreement::{Measure, rounded};
pub use apply::Quantizer;
pub(crate) use keep::AUTO;
pub use keep::Keep;
pub use moments::Moments;
pub use observe::Observations;
pub use scheme::Scheme;
pub use sensitivity::Probe;
use ties::Ties;

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

/// Gives the linear layers that are named these weights of 4 bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Rounded(pub BTreeMap<String, Q4Blocks>);

impl Rounded {
    /// A copy of the model with these weights.
    ///
    /// # Errors
    /// Weights of another size, or a patch that tract refuses.
    pub fn applied(&self, model: &TypedModel) -> Result<TypedModel> {
        let mut rounded = model.clone();
        self.transform(&mut rounded).map_err(|error| anyhow!("rounding the weights failed: {error:#}"))?;
        Ok(rounded)
    }
}

impl ModelTransform for Rounded {
    fn name(&self) -> StaticName {
        "rounded".into()
    }

    fn transform(&self, model: &mut TypedModel) -> TractResult<()> {
        let ties = Ties::of(model);
        for id in 0..model.nodes().len() {
            let node = model.node(id);
            let Some((linear, blocks)) = node.op_as::<Linear>().zip(self.0.get(&node.name)) else { continue };
            let rounded = Linear::from_q4(blocks, Some(linear.bias()));
            let mut rounded = rounded.map_err(|reason| format_err!("{}: {reason}", node.name))?;
            if let Some(activation) = linear.activation() {
                rounded = rounded.with_activation(activation);
            }
            if linear.has_residual() {
                rounded = rounded.with_residual();
            }
            TypedModelPatch::replace_single_op(model, node, &node.inputs, rounded)?.apply(model)?;
        }
        ties.restore(model)?;
        model.compact()
    }
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
    let table_format = match format {
        WeightFormat::Bf16 => WeightFormat::F16,
        WeightFormat::Q4 => WeightFormat::Int8,
        format => format,
    };
    let table = |table: &Table| table.with_format(table_format).map_err(failed);
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
