//! `emberlite pack`: a model file becomes a package, checked against the file before it is written.

mod check;
mod describe;
mod draft;
mod generate;
mod interface;
mod plan;
mod prepared;
mod proof;
mod report;
pub(crate) mod rows;
pub(crate) mod samples;
mod search;
mod tensors;
#[cfg(test)]
mod tests;
mod text;

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use emberlite::model::{Digest, Manifest, Package, Task};
use emberlite::ops::WeightFormat;
use emberlite::store::write_whole;
use serde_json::Value;

use crate::import;
use crate::progress::Progress;
use crate::prune::{self, Method};
use crate::quantize::Scheme;
use crate::recipe::Recipe;
use crate::verify::{self, Missed, Part};

pub(crate) use describe::file_name;
use draft::Draft;
pub use plan::{Planned, plan};
use prepared::{Detail, Prepared, Pruned};
use proof::Split;
pub use report::{Checked, Measured, Quantized, Report, Taken};
pub use search::Goal;
use search::HELD_OUT;

/// What to pack.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The model file and what is said about it.
    pub recipe: Recipe,
    /// Inputs to compare on, beside random ones and the recipe's examples.
    pub inputs: Vec<Value>,
    /// What the package is searched for; packed as the recipe says where there is nothing.
    pub goal: Option<Goal>,
    /// Whether a report is wanted; with a goal or thresholds there is one in any case.
    pub report: bool,
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
    /// How it answers data, against its source.
    pub report: Option<verify::Report>,
}

impl Packed {
    /// The package, if it loses no more than its recipe allows.
    ///
    /// # Errors
    /// The thresholds that it misses.
    pub fn accepted(self) -> Result<Self> {
        let missed = self.report.as_ref().map_or(&[][..], |report| &report.missed);
        if missed.is_empty() {
            return Ok(self);
        }
        Err(anyhow!(Missed(missed.to_vec())).context("the package loses too much, and is not written"))
    }
}

/// Imports a model, packs it, and compares the packed model with the imported one.
///
/// # Errors
/// A file that can't be imported, a recipe that does not fit it, or outputs that differ.
pub fn pack(request: &Request) -> Result<Packed> {
    let progress = Progress::start(format!("importing {}", request.recipe.model.display()));
    let (mut recipe, prepared, mut warnings) = prepare(request, &progress)?;
    let wanted = request.report || request.goal.is_some() || !recipe.verify.thresholds.is_empty();
    let data = wanted.then(|| Split::read(&recipe, &prepared.reference().load()?)).transpose()?;
    let enough = if request.goal.is_some() { HELD_OUT } else { usize::MAX };
    let mut split = data.map(|data| Split::of(data, recipe.verify.data.is_none(), enough));
    let mut frontier = None;
    if let (Some(goal), Some(split)) = (request.goal, &split) {
        let found = search::find(&prepared, &recipe.shrink(), goal, split, &progress)?;
        recipe.apply(found.shrink);
        recipe.verify.thresholds.max_loss.get_or_insert(Part(goal.max_loss));
        warnings.extend(found.warnings);
        frontier = Some(found.frontier);
    }
    let mut draft = prepared.shrink(&recipe.shrink(), &progress)?;
    draft.manifest.recipe = Some(record(&recipe, &prepared, &draft)?);
    let (bytes, digest) = draft.write()?;
    warnings.extend(draft.warnings);
    let package = Package::open(bytes.clone().into())?;
    let prove = |split: Split| proof::prove(&prepared, &package, &recipe, &split.proof, frontier, &progress);
    let report = split.take().map(prove).transpose()?;
    let manifest = package.manifest().clone();
    Ok(Packed { bytes, digest, manifest, warnings, report })
}

/// The recipe as it counts, the model as it is ready to be shrunk, and what the importer had to say.
fn prepare(request: &Request, progress: &Progress) -> Result<(Recipe, Prepared, Vec<String>)> {
    let recipe = &request.recipe;
    recipe.model_name()?;
    recipe.check_files()?;
    prune::check_order(&recipe.prune).map_err(|reason| anyhow!(reason))?;
    let imported = import::import(&recipe.model)?;
    let mut warnings = imported.warnings.clone();
    let speaks = imported.task == Some(Task::Generate);
    ensure!(
        speaks == (recipe.task == Some(Task::Generate)) || (speaks && recipe.task.is_none()),
        "the task {} does not fit the model: a language model has the task generate, and no other model has it",
        recipe.task.unwrap_or(Task::Predict)
    );
    let mut recipe = recipe.clone();
    if request.goal.is_some() && !speaks {
        recipe.calibrate_with_data();
    }
    let prepared = Prepared::new(&recipe, &request.inputs, imported, progress)?;
    warnings.extend(idle(&recipe, prepared.usual()));
    Ok((recipe, prepared, warnings))
}

/// What is said of weights that are held at zero where their format gains nothing by it.
fn idle(recipe: &Recipe, usual: Scheme) -> Option<String> {
    let step = recipe.prune.last()?;
    let scheme = recipe.quantize.scheme.unwrap_or(usual);
    match (step.method, scheme.format()) {
        _ if scheme == Scheme::Auto => None,
        (Method::Blocks, format) if format != Some(WeightFormat::Int8) => Some(format!(
            "{step} makes nothing faster: only layers in int8 leave empty blocks out, and these are in {scheme}"
        )),
        (Method::Weights, Some(WeightFormat::Q4)) => {
            Some(format!("{step} makes nothing smaller: weights of 4 bits are stored with their zeros"))
        }
        _ => None,
    }
}

/// The recipe with the format that the weights have, where it left that open.
fn record(recipe: &Recipe, prepared: &Prepared, draft: &Draft) -> Result<Value> {
    let mut recipe = recipe.clone();
    let usual = if draft.manifest.quantization.is_some() { prepared.usual() } else { Scheme::None };
    recipe.quantize.scheme.get_or_insert(usual);
    recipe.record()
}

/// Writes a package, so that no half of one is ever seen.
///
/// # Errors
/// A folder that can't be written to.
pub fn save(packed: &Packed, path: &Path) -> Result<()> {
    write_whole(path, &packed.bytes).with_context(|| format!("can't write {}", path.display()))
}
