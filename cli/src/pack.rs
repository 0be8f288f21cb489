//! `emberlite pack`: a model file becomes a package, checked against the file before it is written.

mod interface;
mod samples;
mod verify;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use emberlite::engine::{self, Graph, Plan};
use emberlite::model::{
    Digest, Entry, FORMAT, Manifest, Model, ModelName, Package, Source, Task, Verification, write_package,
};
use serde::Serialize;
use serde_json::Value;

use crate::import::{self, Imported};
use crate::progress::Progress;
use crate::recipe::Recipe;

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
    let name = recipe.model_name()?;
    let progress = Progress::start(format!("importing {}", recipe.model.display()));
    let source = fs::read(&recipe.model).with_context(|| format!("can't read {}", recipe.model.display()))?;
    let imported = import::import(&recipe.model)?;
    let mut manifest = describe(&name, recipe, &imported, Digest::of(&source))?;

    progress.step("writing the graph");
    let graph = engine::write_graph(&import::spelled(&imported.model))?;
    progress.step("planning the model as it was imported");
    let before = Plan::new(imported.model)?;

    progress.step("comparing the package with the model");
    interface::infer_roles(&mut manifest, &before, &imported.words)?;
    let (draft, _) = write(&manifest, &graph)?;
    let after = Model::load(&Package::open(draft.into())?)?;
    let given: Vec<_> = recipe.examples.iter().map(|example| &example.input).chain(&request.inputs).collect();
    manifest.verification = verify::compare(&before, &after, &imported.words, &given)?;
    let (bytes, digest) = write(&manifest, &graph)?;
    let manifest = Package::open(bytes.clone().into())?.manifest().clone();
    Ok(Packed { bytes, digest, manifest, warnings: imported.warnings })
}

fn describe(name: &ModelName, recipe: &Recipe, imported: &Imported, digest: Digest) -> Result<Manifest> {
    let (inputs, outputs) = interface::read(&imported.model)?;
    let mut manifest = Manifest {
        format: FORMAT,
        name: name.clone(),
        task: recipe.task.unwrap_or(Task::Predict),
        description: recipe.description.clone(),
        licence: recipe.licence.clone(),
        inputs,
        outputs,
        labels: labels(recipe, &imported.labels)?,
        features: recipe.features.clone(),
        image: recipe.image.clone(),
        text: None,
        examples: recipe.examples.clone(),
        source: Source {
            file: recipe.model.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            format: imported.source.format.to_owned(),
            producer: imported.source.producer.clone(),
            digest,
        },
        verification: Verification { batch_sizes: Vec::new(), inputs: 0, max_abs_difference: 0.0 },
        sections: BTreeMap::new(),
    };
    interface::apply_recipe(&mut manifest, recipe)?;
    Ok(manifest)
}

/// The recipe's labels may stand for class ids that count from 0; others are the file's own.
fn labels(recipe: &Recipe, imported: &[String]) -> Result<Vec<String>> {
    if recipe.labels.is_empty() || recipe.labels == imported {
        return Ok(imported.to_vec());
    }
    let counted = imported.iter().enumerate().all(|(index, label)| *label == index.to_string());
    if !counted {
        bail!("the file has its own labels ({}): the recipe can't rename them", imported.join(", "));
    }
    if !imported.is_empty() && imported.len() != recipe.labels.len() {
        bail!("the file has {} classes, the recipe names {} labels", imported.len(), recipe.labels.len());
    }
    Ok(recipe.labels.clone())
}

fn write(manifest: &Manifest, graph: &Graph) -> Result<(Vec<u8>, Digest)> {
    let mut entries = vec![Entry::graph(&graph.text)];
    for (label, tensor) in &graph.weights {
        entries.push(Entry::weight(label, tensor)?);
    }
    let mut bytes = Vec::new();
    let digest = write_package(manifest, entries, &mut bytes)?;
    Ok((bytes, digest))
}

/// Writes a package beside its place and moves it there, so that no half of one is ever seen.
///
/// # Errors
/// A folder that can't be written to.
pub fn save(packed: &Packed, path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = || format!("can't write {}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    std::io::Write::write_all(&mut file, &packed.bytes).with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}

/// What `emberlite pack --json` prints.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    file: PathBuf,
    digest: &'a Digest,
    package_bytes: usize,
    warnings: &'a [String],
    manifest: &'a Manifest,
}

impl<'a> Report<'a> {
    /// The report on a package that was written to `file`.
    pub fn new(packed: &'a Packed, file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            digest: &packed.digest,
            package_bytes: packed.bytes.len(),
            warnings: &packed.warnings,
            manifest: &packed.manifest,
        }
    }
}

impl std::fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for warning in self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        let Manifest { name, inputs, outputs, labels, verification, .. } = self.manifest;
        writeln!(f, "{name}: {} ({} bytes)", self.file.display(), self.package_bytes)?;
        writeln!(f, "  digest   {}", self.digest)?;
        for input in inputs {
            writeln!(f, "  input    {} {} {}", input.name, input.dtype, input.shape_text())?;
        }
        for output in outputs {
            let role = output.role.map_or("values", crate::inspect::role_name);
            writeln!(f, "  output   {} {} {}, {role}", output.name, output.dtype, output.shape_text())?;
        }
        if !labels.is_empty() {
            writeln!(f, "  labels   {}", labels.join(", "))?;
        }
        let Verification { batch_sizes, inputs, max_abs_difference } = verification;
        write!(
            f,
            "  checked  {inputs} inputs at batch sizes {batch_sizes:?} give the same outputs before and after \
             (largest difference {max_abs_difference:.1e})"
        )
    }
}
