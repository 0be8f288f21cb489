//! Looking for the package that costs least within a budget: candidates are packed and measured here.

mod cost;
mod judge;
mod space;

use anyhow::{Context as _, Result};
use emberlite::model::Model;

use super::proof::Split;
use super::{Draft, Prepared};
use crate::data::Data;
use crate::progress::Progress;
use crate::recipe::Shrink;
use crate::search::{self, Candidate};
use crate::verify::{Answers, Comparison, Frontier, Target};
use judge::Measuring;

/// The most candidates that are measured where nothing else is said.
const TRIALS: usize = 40;
/// From so many examples on every second one is kept from the search, for the proof.
pub(super) const HELD_OUT: usize = 200;
/// Why nothing is taken out where there is no data: a few sentences or random inputs would be fitted, and nothing else.
const NO_DATA: &str =
    "without --data only formats of weights were tried: what can be taken out shows on inputs of your own";
/// The most examples that every candidate answers.
const EXAMPLES: usize = 400;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// The most that may be lost, as [`Comparison::loss`] counts it.
    pub max_loss: f64,
    /// What is to become small.
    pub target: Target,
    /// How many candidates are measured at most; the usual number where nothing is said.
    pub trials: Option<usize>,
}

impl Goal {
    fn trials(&self) -> usize {
        self.trials.unwrap_or(TRIALS)
    }

    /// The most that may be lost. Two parts that should be equal may differ in their last digits.
    fn budget(&self) -> f64 {
        self.max_loss + 1e-9
    }

    fn allows(&self, loss: f64) -> bool {
        loss <= self.budget()
    }
}

/// What was found.
pub(super) struct Found {
    /// How the model is made smaller.
    pub(super) shrink: Shrink,
    /// Everything that was tried.
    pub(super) frontier: Frontier,
    /// What could not be tried, one sentence each.
    pub(super) warnings: Vec<String>,
}

/// Finds the candidate that costs least of those that lose no more than is allowed, on examples that the search did not
/// see too. What the recipe says of layers to keep and of calibration holds for all.
pub(super) fn find(
    prepared: &Prepared,
    given: &Shrink,
    goal: Goal,
    split: &Split,
    progress: &Progress,
) -> Result<Found> {
    let reference = prepared.reference().load()?;
    let mut space = space::of(prepared, given, goal.target);
    let mut warnings = Vec::new();
    if split.built_in && !space.methods.is_empty() {
        space.methods.clear();
        warnings.push(NO_DATA.to_owned());
    }
    let search = split.search.clone().spread(EXAMPLES);
    let mut measuring = Measuring::new(prepared, given, goal, &reference, &search, progress)?;
    let best = search::search(&space, goal.budget(), goal.trials(), &mut measuring)?;
    if goal.target != Target::Latency && space::mixes(prepared, given) {
        measuring.mix(&best)?;
    }
    let proof = Proof::new(&reference, &split.proof)?;
    let mut chosen = Candidate::unchanged();
    progress.step("proving the best on other examples");
    let mut refused = 0;
    for candidate in measuring.best_first() {
        if goal.allows(proof.loss(&measuring.draft(&candidate)?)?) {
            chosen = candidate;
            break;
        }
        refused += 1;
    }
    let (frontier, untried) = measuring.frontier(&chosen);
    warnings.extend(untried);
    if refused > 0 {
        warnings.push(format!("{refused} that cost less lost too much on the examples that were kept for the proof"));
    }
    Ok(Found { shrink: judge::shrink(given, &chosen, goal), frontier, warnings })
}

/// The reference's answers to examples that the search did not see.
struct Proof<'a> {
    data: &'a Data,
    expected: Answers,
}

impl<'a> Proof<'a> {
    fn new(reference: &Model, data: &'a Data) -> Result<Self> {
        let expected =
            Answers::of(reference, data, &Progress::silent()).context("the model does not answer the data")?;
        Ok(Self { data, expected })
    }

    fn loss(&self, draft: &Draft) -> Result<f64> {
        let got = Answers::of(&draft.load()?, self.data, &Progress::silent())?;
        Ok(Comparison::new(&self.expected, &got, self.data)?.loss().value)
    }
}
