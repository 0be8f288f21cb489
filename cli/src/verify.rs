//! `emberlite verify`: a package against the model it was made from, on data, and what that cost.

mod answers;
mod comparison;
mod frontier;
mod language;
mod latency;
mod loss;
mod part;
mod reference;
pub mod report;
mod settings;
mod statistics;
mod thresholds;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use emberlite::model::Model;

use crate::data::{Columns, Data};
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::source;

pub use answers::{Answers, Classes, Passage};
pub use comparison::{
    Accuracy, Case, Comparison, Cosines, LabelsOutcome, Outcome, Scored, TokensOutcome, ValuesOutcome, VectorsOutcome,
};
pub use frontier::{Frontier, Point, Target};
pub(crate) use language::STEP;
pub use language::{Piece, Predictions, pieces};
pub use latency::{Spread, Timing, measure as measure_latency};
pub use loss::Loss;
pub use part::Part;
pub use report::Report;
pub use settings::Settings;
pub use thresholds::{Miss, Missed, Thresholds};

/// What to verify.
#[derive(Clone, Debug)]
pub struct Request {
    /// What the package was made from.
    pub recipe: Recipe,
    /// The recipe as a text, for the report.
    pub recipe_text: Option<String>,
    /// The package.
    pub package: PathBuf,
    /// The examples; those that are built in for `None`.
    pub data: Option<PathBuf>,
    /// Which columns of them are which.
    pub columns: Columns,
    /// At most how many of them are asked.
    pub limit: Option<usize>,
    /// How often each work is timed at most; 0 for not at all.
    pub rounds: usize,
    /// What may be lost.
    pub thresholds: Thresholds,
}

/// Compares a package with its source.
///
/// # Errors
/// A source, a package or data that can't be read, or that do not fit each other. What a package loses is no error: the
/// report has it, and [`Thresholds::check`] refuses it.
pub fn verify(request: Request) -> Result<Report> {
    let progress = Progress::start("opening the package");
    let file = request.package.display().to_string();
    let package = source::package(&request.package)?;
    let packed = Model::load(&package).with_context(|| file)?;
    let file_bytes = size(&request.recipe.model);

    progress.step("packing the source as it is");
    let reference = reference::package(request.recipe, package.manifest())?;
    let source = Model::load(&reference)?;
    reference::check(&source, &packed)?;

    progress.step("reading the data");
    let data = match &request.data {
        Some(path) => Data::read(path, &request.columns, packed.manifest())?,
        None => Data::built_in(&packed)?,
    };
    let data = request.limit.map_or(data.clone(), |limit| data.spread(limit.max(1)));
    progress.count("asking the source", data.examples.len());
    let expected = Answers::of(&source, &data, &progress).context("the source")?;
    progress.count("asking the package", data.examples.len());
    let got = Answers::of(&packed, &data, &progress).context("the package")?;
    let comparison = Comparison::new(&expected, &got, &data)?;

    let mut report = Report::new(&reference, &package, comparison, request.thresholds)?;
    report.latency = latency::measure(&source, &packed, &data, request.rounds, &progress)?;
    report.source.file_bytes = file_bytes;
    report.recipe = request.recipe_text;
    Ok(report)
}

/// The size of a file, or of the files in a folder.
fn size(path: &Path) -> Option<u64> {
    let metadata = path.metadata().ok()?;
    if metadata.is_file() {
        return Some(metadata.len());
    }
    let files = path.read_dir().ok()?.filter_map(|entry| entry.ok()?.metadata().ok());
    Some(files.filter(std::fs::Metadata::is_file).map(|file| file.len()).sum())
}
