//! `emberlite pack`: a model file becomes a package, checked against the file before it is written.

mod describe;
mod generate;
mod interface;
mod report;
mod rows;
mod samples;
#[cfg(test)]
mod tests;
mod text;
mod verify;

use std::path::Path;

use anyhow::{Result, ensure};
use emberlite::engine::{self, Graph, Plan};
use emberlite::model::{Digest, Entry, Manifest, Model, Package, Task, write_package};
use serde_json::Value;
use tract_core::prelude::TypedModel;

use crate::files;
use crate::import::{self, Imported};
use crate::progress::Progress;
use crate::recipe::Recipe;

pub(crate) use describe::file_name;
pub use report::{Checked, Measured, Quantized, Report};

/// What to pack.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The model file and what is said about it.
    pub recipe: Recipe,
    /// Inputs to compare on, beside random ones and the recipe's examples.
    pub inputs: Vec<Value>,
}

/// A package that was made and checked.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The package file.
    pub bytes: Vec<u8>,
    /// Its digest.
    pub digest: Digest,
    /// What it says about its model.
    pub manifest: Manifest,
    /// What the importer had to say.
    pub warnings: Vec<String>,
}

/// Imports a model, packs it, and compares the packed model with the imported one.
///
/// # Errors
/// A file that can't be imported, a recipe that does not fit it, or outputs that differ.
pub fn pack(request: &Request) -> Result<Packed> {
    let recipe = &request.recipe;
    recipe.model_name()?;
    let progress = Progress::start(format!("importing {}", recipe.model.display()));
    let imported = import::import(&recipe.model)?;
    let mut warnings = imported.warnings.clone();
    let speaks = imported.task == Some(Task::Generate);
    ensure!(
        speaks == (recipe.task == Some(Task::Generate)) || (speaks && recipe.task.is_none()),
        "the task {} does not fit the model: a language model has the task generate, and no other model has it",
        recipe.task.unwrap_or(Task::Predict)
    );
    let draft = if speaks {
        generate::draft(recipe, imported, &progress)?
    } else {
        match text::resolve(recipe, &imported)? {
            Some(texts) => text::draft(recipe, imported, texts, &progress)?,
            None => draft(request, imported, &progress)?,
        }
    };
    let (bytes, digest) = draft.write()?;
    warnings.extend(draft.warnings);
    let manifest = Package::open(bytes.clone().into())?.manifest().clone();
    Ok(Packed { bytes, digest, manifest, warnings })
}

/// What a package is written from.
struct Draft {
    manifest: Manifest,
    graph: Graph,
    tokenizer: Option<Vec<u8>>,
    warnings: Vec<String>,
}

impl Draft {
    fn new(manifest: Manifest, model: &TypedModel, tokenizer: Option<Vec<u8>>) -> Result<Self> {
        let mut model = import::spelled(model);
        // A load does not: it only chooses operators for its CPU.
        model.declutter()?;
        let graph = engine::write_graph(&model)?;
        Ok(Self { manifest, graph, tokenizer, warnings: Vec::new() })
    }

    fn write(&self) -> Result<(Vec<u8>, Digest)> {
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
    fn load(&self) -> Result<Model> {
        Ok(Model::load(&Package::open(self.write()?.0.into())?)?)
    }
}

/// A model of tensors.
fn draft(request: &Request, imported: Imported, progress: &Progress) -> Result<Draft> {
    let recipe = &request.recipe;
    let manifest = describe::describe(recipe, &imported, Task::Predict)?;
    progress.step("writing the graph");
    let mut draft = Draft::new(manifest, &imported.model, None)?;
    progress.step("planning the model as it was imported");
    let before = Plan::new(imported.model)?;

    progress.step("comparing the package with the model");
    interface::infer_roles(&mut draft.manifest, &before, &imported.words)?;
    let given: Vec<_> = recipe.examples.iter().map(|example| &example.input).chain(&request.inputs).collect();
    draft.manifest.verification = verify::compare(&before, &draft.load()?, &imported.words, &given)?;
    Ok(draft)
}

/// Writes a package beside its place and moves it there, so that no half of one is ever seen. Whoever may read the files
/// that the user makes may read it.
///
/// # Errors
/// A folder that can't be written to.
pub fn save(packed: &Packed, path: &Path) -> Result<()> {
    files::write_whole(path, &packed.bytes)
}
