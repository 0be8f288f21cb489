//! What a package is written from.

use anyhow::Result;
use emberlite::engine::{self, Graph};
use emberlite::model::{Digest, Entry, Manifest, Model, NEWEST_FORMAT, Package, write_package};
use emberlite::ops::Linear;
use tract_core::prelude::TypedModel;

use crate::import;

/// What a package is written from.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) manifest: Manifest,
    pub(super) graph: Graph,
    pub(super) tokenizer: Option<Vec<u8>>,
    pub(super) warnings: Vec<String>,
}

impl Draft {
    pub(super) fn new(mut manifest: Manifest, model: &TypedModel, tokenizer: Option<Vec<u8>>) -> Result<Self> {
        let is_sparse = |linear: &Linear| linear.blocks().is_some();
        if model.nodes().iter().any(|node| node.op_as::<Linear>().is_some_and(is_sparse)) {
            manifest.format = NEWEST_FORMAT;
        }
        let mut model = import::spelled(model);
        // A load does not: it only chooses operators for its CPU.
        model.declutter()?;
        let graph = engine::write_graph(&model)?;
        Ok(Self { manifest, graph, tokenizer, warnings: Vec::new() })
    }

    pub(super) fn write(&self) -> Result<(Vec<u8>, Digest)> {
        let mut entries = vec![Entry::graph(&self.graph.text)];
        entries.extend(self.tokenizer.as_deref().map(Entry::tokenizer));
        for (label, tensor) in &self.graph.weights {
            entries.push(Entry::weight(label, tensor)?);
        }
        let mut bytes = Vec::new();
        let digest = write_package(&self.manifest, entries, &mut bytes)?;
        Ok((bytes, digest))
    }

    /// The model as it will be loaded.
    pub(super) fn load(&self) -> Result<Model> {
        Ok(Model::load(&Package::open(self.write()?.0.into())?)?)
    }
}
