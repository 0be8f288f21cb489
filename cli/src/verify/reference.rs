//! The model that a package is held against: its source, packed in memory with nothing left out and nothing rounded.

use anyhow::{Context as _, Result, ensure};
use emberlite::model::{Dim, Manifest, Model, Package, TensorSpec};

use crate::data::Kind;
use crate::pack::{self, Request};
use crate::recipe::Recipe;

/// What to do where both do not fit.
const ADVICE: &str = "name the source that the package was made from, and its recipe with --recipe";

/// The source as a package in single precision. Packing it shows that it answers as tract's own plan of the source does.
///
/// What the package was told when it was made, and no file tells, is told to its source too: the task, the classes, the
/// longest text.
///
/// # Errors
/// A source that can't be packed, or that makes another kind of model.
pub(super) fn package(recipe: Recipe, manifest: &Manifest) -> Result<Package> {
    if let Some(task) = recipe.task {
        ensure!(
            task == manifest.task,
            "the source is for the task {task}, the package for {}: {ADVICE}",
            manifest.task
        );
    }
    let mut recipe = recipe.unreduced();
    recipe.name = Some(manifest.name.clone());
    recipe.task = recipe.task.or(Some(manifest.task));
    if recipe.labels.is_empty() && recipe.outputs.is_empty() {
        recipe.labels.clone_from(&manifest.labels);
    }
    let longest = manifest.text.as_ref().map(|text| text.max_tokens);
    let longest = longest.or(manifest.generate.as_ref().map(|spec| spec.context_tokens));
    recipe.text.max_tokens = recipe.text.max_tokens.or(longest);
    let packed = pack::pack(&Request { recipe, ..Request::default() }).context("the source can't be used")?;
    Ok(Package::open(packed.bytes.into())?)
}

/// Whether a package can be compared with the model of its source.
///
/// # Errors
/// What differs between them.
pub(super) fn check(source: &Model, packed: &Model) -> Result<()> {
    let (source, packed) = (source.manifest(), packed.manifest());
    ensure!(
        source.task == packed.task,
        "the source makes a model for the task {}, the package is one for {}: {ADVICE}",
        source.task,
        packed.task
    );
    let kinds = (Kind::of(source), Kind::of(packed));
    ensure!(kinds.0 == kinds.1, "the source answers with {:?}, the package with {:?}: {ADVICE}", kinds.0, kinds.1);
    let (expected, got) = (shapes(&source.outputs), shapes(&packed.outputs));
    ensure!(expected == got, "the source has the outputs {expected}, the package has {got}: {ADVICE}");
    if packed.text.is_none() && packed.generate.is_none() {
        let (expected, got) = (shapes(&source.inputs), shapes(&packed.inputs));
        ensure!(expected == got, "the source has the inputs {expected}, the package has {got}: {ADVICE}");
    }
    ensure!(
        source.labels == packed.labels,
        "the source's classes are {:?}, the package's {:?}: {ADVICE}",
        source.labels,
        packed.labels
    );
    Ok(())
}

/// Names with their widths; what a dimension that varies is called says nothing. A vocabulary may have been trimmed.
fn shapes(specs: &[TensorSpec]) -> String {
    let dim = |dim: &Dim| match dim {
        Dim::Fixed(size) => size.to_string(),
        Dim::Symbol(_) => "*".to_owned(),
    };
    let shape =
        |spec: &TensorSpec| format!("{} [{}]", spec.name, spec.shape.iter().map(dim).collect::<Vec<_>>().join(", "));
    specs.iter().map(shape).collect::<Vec<_>>().join(", ")
}
