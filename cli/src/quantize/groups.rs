//! Which linear layers read the same numbers.

use emberlite::ops::Linear;
use tract_core::prelude::{OutletId, TypedModel};

/// The linear layers that are named, those together that read the same outlet, in an order in which each comes after all
/// that it depends on.
///
/// # Errors
/// A graph without an order.
pub(crate) fn groups(model: &TypedModel, layers: &[String]) -> anyhow::Result<Vec<Vec<String>>> {
    let order = model.eval_order().map_err(|error| anyhow::anyhow!("the graph has no order: {error:#}"))?;
    let mut groups: Vec<(OutletId, Vec<String>)> = Vec::new();
    for node in order.into_iter().map(|id| model.node(id)) {
        let Some(outlet) = node.inputs.first().filter(|_| node.op_is::<Linear>() && layers.contains(&node.name)) else {
            continue;
        };
        match groups.iter_mut().find(|(other, _)| other == outlet) {
            Some((_, group)) => group.push(node.name.clone()),
            None => groups.push((*outlet, vec![node.name.clone()])),
        }
    }
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}
