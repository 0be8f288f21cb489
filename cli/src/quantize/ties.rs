//! Embeddings that share their weights with a linear layer, and still do after that layer was changed.

use emberlite::ops::{Embedding, Linear, Table};
use tract_core::internal::{TractResult, TypedModelPatch, TypedNode, format_err};
use tract_core::prelude::TypedModel;

/// Which embeddings are tied to which linear layers, by the names of their nodes.
pub(crate) struct Ties(Vec<(String, String)>);

impl Ties {
    /// The ties of a model.
    pub(crate) fn of(model: &TypedModel) -> Self {
        let tied = |node: &TypedNode| {
            let (table, _) = node.op_as::<Embedding>()?.tables().first().filter(|(table, _)| table.is_tied())?;
            let is_it = |layer: &&TypedNode| {
                let linear = layer.op_as::<Linear>().filter(|linear| linear.outputs() == table.rows());
                linear.is_some_and(|linear| Table::tied(linear) == *table)
            };
            let layer = model.nodes().iter().find(is_it)?;
            Some((node.name.clone(), layer.name.clone()))
        };
        Self(model.nodes().iter().filter_map(tied).collect())
    }

    /// Whether an embedding is tied to this layer.
    pub(crate) fn has_layer(&self, name: &str) -> bool {
        self.0.iter().any(|(_, layer)| layer == name)
    }

    /// Ties the embeddings to what the layers are now.
    pub(crate) fn restore(self, model: &mut TypedModel) -> TractResult<()> {
        for (embedding, layer) in self.0 {
            let node = model.node_by_name(&embedding)?;
            let layer = model.node_by_name(&layer)?.op_as::<Linear>();
            let Some((linear, old)) = layer.zip(node.op_as::<Embedding>()) else { continue };
            let Some((_, lookup)) = old.tables().first() else { continue };
            let tied = Embedding::new(vec![(Table::tied(linear), *lookup)]);
            let tied = tied.map_err(|reason| format_err!("{embedding}: {reason}"))?.with_factor(old.factor());
            TypedModelPatch::replace_single_op(model, node, &node.inputs, tied)?.apply(model)?;
        }
        Ok(())
    }
}
