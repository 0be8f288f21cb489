//! The proof of a package before it is written: its answers to data against its source's.

use anyhow::{Context as _, Result};
use emberlite::model::{Model, Package};

use super::Prepared;
use crate::data::Data;
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::verify::{Answers, Comparison, Frontier, Report, measure_latency};

/// How often source and package are timed in turns.
const ROUNDS: usize = 30;

/// Examples for a search, and others for the proof where there are enough.
pub(super) struct Split {
    pub(super) search: Data,
    pub(super) proof: Data,
    /// Whether they are no data of the user's.
    pub(super) built_in: bool,
}

impl Split {
    /// The data that the recipe names, else what is built in.
    pub(super) fn read(recipe: &Recipe, reference: &Model) -> Result<Data> {
        let settings = &recipe.verify;
        match &settings.data {
            Some(path) => Data::read(path, &settings.columns(), reference.manifest()),
            None => Data::built_in(reference),
        }
    }

    /// Every second example is kept from the search where there are `enough`.
    pub(super) fn of(data: Data, built_in: bool, enough: usize) -> Self {
        if data.examples.len() < enough {
            return Self { search: data.clone(), proof: data, built_in };
        }
        let (search, proof): (Vec<_>, Vec<_>) = data.examples.into_iter().enumerate().partition(|(at, _)| at % 2 == 0);
        let part = |examples: Vec<_>| {
            let examples = examples.into_iter().map(|(_, example)| example).collect();
            Data { name: data.name.clone(), examples }
        };
        Self { search: part(search), proof: part(proof), built_in }
    }
}

/// Compares a package with its source on the data.
///
/// # Errors
/// A model that does not answer it.
pub(super) fn prove(
    prepared: &Prepared,
    package: &Package,
    recipe: &Recipe,
    data: &Data,
    frontier: Option<Frontier>,
    progress: &Progress,
) -> Result<Report> {
    let reference = Package::open(prepared.reference().write()?.0.into())?;
    let (source, packed) = (Model::load(&reference)?, Model::load(package)?);
    progress.count("asking the source", data.examples.len());
    let expected = Answers::of(&source, data, progress).context("the model does not answer the data")?;
    progress.count("asking the package", data.examples.len());
    let got = Answers::of(&packed, data, progress).context("the package does not answer the data")?;
    let comparison = Comparison::new(&expected, &got, data)?;
    let mut report = Report::new(&reference, package, comparison, recipe.verify.thresholds.clone())?;
    report.latency = measure_latency(&source, &packed, data, ROUNDS, progress)?;
    report.frontier = frontier;
    report.recipe = Recipe::of(package.manifest()).ok().and_then(|recipe| toml::to_string(&recipe).ok());
    Ok(report)
}
