//! `emberlite pack`: a model file becomes a package, checked against the file before it is written.

mod check;
mod describe;
mod generate;
mod interface;
mod plan;
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
use emberlite::engine::{self, Graph};
use emberlite::model::{Digest, Entry, Manifest, Model, Package, Pruning, Task, write_package};
use emberlite::store::write_whole;
use serde_json::Value;
use tract_core::prelude::TypedModel;

use crate::calibrate::Calibration;
use crate::import::{self, Imported};
use crate::progress::Progress;
use crate::prune::{self, Step};
use crate::quantize::Scheme;
use crate::recipe::{QuantizeSettings, Recipe, Shrink};

use crate::verify::{self, Missed, Part};

pub(crate) use describe::file_name;
pub use plan::{Planned, plan};
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
    let mut split = data.map(|data| Split::of(data, if request.goal.is_some() { HELD_OUT } else { usize::MAX }));
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
    let imported = import::import(&recipe.model)?;
    let warnings = imported.warnings.clone();
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
    Ok((recipe, prepared, warnings))
}

/// The recipe with the format that the weights have, where it left that open.
fn record(recipe: &Recipe, prepared: &Prepared, draft: &Draft) -> Result<Value> {
    let mut recipe = recipe.clone();
    let usual = if draft.manifest.quantization.is_some() { prepared.usual() } else { Scheme::None };
    recipe.quantize.scheme.get_or_insert(usual);
    recipe.record()
}

/// What a package is written from.
#[derive(Clone, Debug)]
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

/// A model that was imported and written down anew, and found to be the same: what it is shrunk from, in one way or
/// several.
enum Prepared {
    Tensors(tensors::Prepared),
    Texts(Box<text::Prepared>),
    Language(Box<generate::Prepared>),
}

impl Prepared {
    fn new(recipe: &Recipe, inputs: &[Value], imported: Imported, progress: &Progress) -> Result<Self> {
        if imported.task == Some(Task::Generate) {
            return Ok(Self::Language(Box::new(generate::Prepared::new(recipe, imported, progress)?)));
        }
        Ok(match text::resolve(recipe, &imported)? {
            Some(texts) => Self::Texts(Box::new(text::Prepared::new(recipe, imported, texts, progress)?)),
            None => Self::Tensors(tensors::Prepared::new(recipe, inputs, imported, progress)?),
        })
    }

    /// How weights are written down where nothing is said.
    fn usual(&self) -> Scheme {
        match self {
            Self::Tensors(_) => Scheme::None,
            Self::Texts(_) => Scheme::Int8,
            Self::Language(_) => generate::USUAL,
        }
    }

    /// Packs the model in one way.
    fn shrink(&self, shrink: &Shrink, progress: &Progress) -> Result<Draft> {
        let pruned = self.pruned(&shrink.prune, self.whole(), progress)?;
        self.write(&pruned, &shrink.quantize, Detail::Layers, progress)
    }

    /// The package of the model with nothing lost: what its source is compared by.
    fn reference(&self) -> &Draft {
        match self {
            Self::Tensors(prepared) => prepared.draft(),
            Self::Texts(prepared) => prepared.draft(),
            Self::Language(prepared) => prepared.draft(),
        }
    }

    /// The model with nothing taken out.
    fn whole(&self) -> Pruned {
        let model = match self {
            Self::Tensors(prepared) => prepared.model(),
            Self::Texts(prepared) => prepared.model(),
            Self::Language(prepared) => prepared.model(),
        };
        Pruned { model: model.clone(), account: Vec::new() }
    }

    /// What further steps leave of a model.
    fn pruned(&self, steps: &[Step], from: Pruned, progress: &Progress) -> Result<Pruned> {
        let calibration = self.calibration();
        let (model, account) = prune::prune(from.model, steps, &*calibration, progress)?;
        Ok(Pruned { model, account: [from.account, account].concat() })
    }

    fn calibration(&self) -> Box<dyn Calibration + '_> {
        match self {
            Self::Tensors(prepared) => Box::new(prepared.calibration()),
            Self::Texts(prepared) => Box::new(prepared.calibration()),
            Self::Language(prepared) => Box::new(prepared.calibration()),
        }
    }

    /// The package of what pruning left, its weights written down in some way.
    fn write(
        &self,
        pruned: &Pruned,
        settings: &QuantizeSettings,
        detail: Detail,
        progress: &Progress,
    ) -> Result<Draft> {
        match self {
            Self::Tensors(prepared) => prepared.write(pruned, settings, detail, progress),
            Self::Texts(prepared) => prepared.write(pruned, settings, detail, progress),
            Self::Language(prepared) => prepared.write(pruned, settings, detail, progress),
        }
    }
}

/// What pruning left of a model.
#[derive(Clone, Debug)]
struct Pruned {
    model: TypedModel,
    account: Vec<Pruning>,
}

/// How much is measured of what quantization costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// The whole model, and each layer by itself.
    Layers,
    /// The whole model.
    Model,
}

/// Writes a package, so that no half of one is ever seen.
///
/// # Errors
/// A folder that can't be written to.
pub fn save(packed: &Packed, path: &Path) -> Result<()> {
    write_whole(path, &packed.bytes).with_context(|| format!("can't write {}", path.display()))
}
