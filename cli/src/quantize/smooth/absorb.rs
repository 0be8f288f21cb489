//! Factors that the norm before a layer can have in its gain.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use emberlite::ops::{Linear, Norm};
use tract_core::internal::{TypedNode, TypedOp};
use tract_core::prelude::TypedModel;

use crate::quantize::replaced;

/// Moves factors into norms that only layers with these very factors read: no run has to multiply with them.
///
/// # Errors
/// A patch that tract refuses.
pub(in crate::quantize) fn absorb(model: &TypedModel) -> Result<TypedModel> {
    let mut ops: BTreeMap<String, Box<dyn TypedOp>> = BTreeMap::new();
    for node in model.nodes() {
        let Some((norm, factors)) = node.op_as::<Norm>().zip(shared_factors(model, node)) else { continue };
        let norm = norm.multiplied(factors).map_err(|reason| anyhow!("{}: {reason}", node.name))?;
        ops.insert(node.name.clone(), Box::new(norm));
        for reader in node.outputs.iter().flat_map(|output| &output.successors) {
            let reader = model.node(reader.node);
            let Some(linear) = reader.op_as::<Linear>() else { continue };
            ops.insert(reader.name.clone(), Box::new(linear.clone().without_factors()));
        }
    }
    replaced(model, ops)
}

/// The factors that all readers of a node have.
fn shared_factors<'a>(model: &'a TypedModel, node: &TypedNode) -> Option<&'a [f32]> {
    let output = node.outputs.first()?;
    let is_output = model.outputs.iter().any(|outlet| outlet.node == node.id);
    let mut factors: Option<&[f32]> = None;
    for reader in &output.successors {
        let linear = model.node(reader.node).op_as::<Linear>().filter(|_| reader.slot == 0)?;
        if factors.is_some_and(|factors| factors != linear.factors()) {
            return None;
        }
        factors = Some(linear.factors());
    }
    factors.filter(|factors| !factors.is_empty() && !is_output)
}
