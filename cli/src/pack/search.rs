//! Looking for the package that costs least within a budget: candidates are packed and measured here.

mod cost;
mod judge;
mod space;

use anyhow::{Context as _, Result};
use emberlite::model::Model;

use super::{Draft, Prepared};
use crate::data::Data;
use crate::progress::Progress;
use crate::recipe::Shrink;
use crate::search::{self, Candidate};
use crate::verify::{Answers, Comparison, Frontier, Target};
use judge::Measuring;

/// The most candidates that are measured.
const TRIALS: usize = 40;
/// From so many examples on every second one is kept from the search, for the proof.
const HELD_OUT: usize = 200;
/// The most examples that every candidate answers.
const EXAMPLES: usize = 400;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// The most that may be lost, as [`Comparison::loss`] counts it.
    pub max_loss: f64,
    /// What is to become small.
    pub target: Target,
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

/// Examples for the search, and others for the proof where there are enough.
struct Split {
    search: Data,
    proof: Option<Data>,
}

impl Split {
    fn of(data: &Data) -> Self {
        if data.examples.len() < HELD_OUT {
            return Self { search: data.clone(), proof: None };
        }
        let half = |odd: usize| {
            let examples = data.examples.iter().skip(odd).step_by(2).cloned().collect();
            Data { name: data.name.clone(), examples }.spread(EXAMPLES)
        };
        Self { search: half(0), proof: Some(half(1)) }
    }
}

/// Finds the candidate that costs least of those that lose no more than is allowed, on examples that the search did not
/// see too where there are enough of them. What the recipe says of layers to keep and of calibration holds for all.
pub(super) fn find(prepared: &Prepared, given: &Shrink, goal: Goal, data: &Data, progress: &Progress) -> Result<Found> {
    let split = Split::of(data);
    let reference = prepared.reference().load()?;
    let space = space::of(prepared, given);
    let mut measuring = Measuring::new(prepared, given, goal, &reference, &split.search, progress)?;
    search::search(&space, goal.max_loss, TRIALS, &mut measuring)?;
    let proof = split.proof.as_ref().map(|data| Proof::new(&reference, data)).transpose()?;
    let mut chosen = Candidate::unchanged();
    for candidate in measuring.best_first() {
        let holds = match &proof {
            Some(proof) => proof.loss(&measuring.draft(&candidate)?)? <= goal.max_loss,
            None => true,
        };
        if holds {
            chosen = candidate;
            break;
        }
    }
    let (frontier, warnings) = measuring.frontier(&chosen);
    Ok(Found { shrink: judge::shrink(given, &chosen), frontier, warnings })
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
