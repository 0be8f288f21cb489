//! Packing and measuring candidates.

use anyhow::{Context as _, Result};
use emberlite::model::{Model, Package};

use super::Goal;
use super::cost::{Clock, Scale};
use crate::data::Data;
use crate::pack::{Detail, Draft, Prepared, Pruned};
use crate::progress::Progress;
use crate::prune::{Nothing, Step};
use crate::quantize::Scheme;
use crate::recipe::Shrink;
use crate::search::{Candidate, Judge, Trial};
use crate::verify::{Answers, Comparison, Frontier, Point};

/// How many pruned models are kept, for candidates that go on from them.
const KEPT: usize = 8;

/// Packs candidates, has them answer the data, and times them.
pub(super) struct Measuring<'a> {
    prepared: &'a Prepared,
    given: &'a Shrink,
    goal: Goal,
    data: &'a Data,
    expected: Answers,
    clock: Clock<'a>,
    scale: Scale,
    pruned: Vec<(Vec<Step>, Pruned)>,
    tried: Vec<(Candidate, Point)>,
    warnings: Vec<String>,
    progress: &'a Progress,
}

impl<'a> Measuring<'a> {
    pub(super) fn new(
        prepared: &'a Prepared,
        given: &'a Shrink,
        goal: Goal,
        reference: &'a Model,
        data: &'a Data,
        progress: &'a Progress,
    ) -> Result<Self> {
        progress.step("asking the model as it is");
        let expected =
            Answers::of(reference, data, &Progress::silent()).context("the model does not answer the data")?;
        progress.count("searching", goal.trials());
        Ok(Self {
            prepared,
            given,
            goal,
            data,
            expected,
            clock: Clock::new(reference, data)?,
            scale: Scale::new()?,
            pruned: vec![(Vec::new(), prepared.whole())],
            tried: Vec::new(),
            warnings: Vec::new(),
            progress,
        })
    }

    /// The package of a candidate.
    pub(super) fn draft(&mut self, candidate: &Candidate) -> Result<Draft> {
        let shrink = shrink(self.given, candidate, self.goal);
        let pruned = self.pruned(&shrink.prune)?;
        self.prepared.write(&pruned, &shrink.quantize, Detail::Model, &Progress::silent())
    }

    /// What these steps leave of the model, from the longest run of them that was taken before.
    fn pruned(&mut self, steps: &[Step]) -> Result<Pruned> {
        let begun = self.pruned.iter().filter(|(taken, _)| steps.starts_with(taken));
        let longest = begun.max_by_key(|(taken, _)| taken.len());
        let (taken, from) =
            longest.map_or_else(|| (0, self.prepared.whole()), |(taken, from)| (taken.len(), from.clone()));
        if taken == steps.len() {
            return Ok(from);
        }
        let pruned = self.prepared.pruned(&steps[taken..], from, &Progress::silent())?;
        if self.pruned.len() >= KEPT {
            self.pruned.remove(1);
        }
        self.pruned.push((steps.to_vec(), pruned.clone()));
        Ok(pruned)
    }

    /// What a candidate is; none where one of its steps takes nothing out.
    fn measured(&mut self, candidate: &Candidate) -> Result<Option<Point>> {
        let draft = self.draft(candidate)?;
        if draft.manifest.pruning.iter().any(|step| step.removed == 0) {
            return Ok(None);
        }
        let (bytes, _) = draft.write()?;
        let package_bytes = bytes.len() as u64;
        let memory_bytes = self.scale.weigh(&bytes, &self.clock)?;
        let model = Model::load(&Package::open(bytes.into())?)?;
        let got = Answers::of(&model, self.data, &Progress::silent())?;
        let loss = Comparison::new(&self.expected, &got, self.data)?.loss().value;
        let latency_ms = self.clock.time(&model)?;
        let within = self.goal.allows(loss);
        let name = candidate.to_string();
        Ok(Some(Point { name, loss, latency_ms, package_bytes, memory_bytes, chosen: false, within }))
    }

    /// Measures the best candidate once more with formats that are chosen layer by layer.
    pub(super) fn mix(&mut self, best: &Candidate) -> Result<()> {
        let mixed = Candidate { scheme: Scheme::Auto, ..best.clone() };
        self.judge(&mixed).map(drop)
    }

    /// The candidates within the budget, those that cost least first.
    pub(super) fn best_first(&self) -> Vec<Candidate> {
        let mut within: Vec<_> = self.tried.iter().filter(|(_, point)| point.within).collect();
        let cost = |point: &Point| self.goal.target.cost(point);
        within.sort_by(|(_, a), (_, b)| cost(a).total_cmp(&cost(b)).then(a.loss.total_cmp(&b.loss)));
        within.into_iter().map(|(candidate, _)| candidate.clone()).collect()
    }

    /// Everything that was tried, and what could not be.
    pub(super) fn frontier(self, chosen: &Candidate) -> (Frontier, Vec<String>) {
        let points = self.tried.into_iter().map(|(candidate, point)| Point { chosen: candidate == *chosen, ..point });
        let Goal { target, max_loss, .. } = self.goal;
        (Frontier { target, max_loss, points: points.collect() }, self.warnings)
    }
}

impl Judge for Measuring<'_> {
    fn judge(&mut self, candidate: &Candidate) -> Result<Option<Trial>> {
        self.progress.say(candidate.to_string());
        match self.measured(candidate) {
            Ok(None) => Ok(None),
            Ok(Some(point)) => {
                self.progress.advance();
                let trial = Trial { loss: point.loss, cost: self.goal.target.cost(&point) };
                self.tried.push((candidate.clone(), point));
                Ok(Some(trial))
            }
            Err(error) if error.is::<Nothing>() => Ok(None),
            // The model as it is has to be measured; a way to shrink it that fails is only left out.
            Err(error) if *candidate == Candidate::unchanged() => Err(error),
            Err(error) => {
                self.warnings.push(format!("{candidate} was not tried: {error:#}"));
                Ok(None)
            }
        }
    }
}

/// How a candidate is made, with what the recipe says of calibration and layers to keep.
pub(super) fn shrink(given: &Shrink, candidate: &Candidate, goal: Goal) -> Shrink {
    let prune = [given.prune.clone(), candidate.prune.clone()].concat();
    let mut quantize = given.quantize.clone();
    quantize.scheme = Some(candidate.scheme);
    if candidate.scheme == Scheme::Auto {
        quantize.budget.get_or_insert(goal.max_loss);
    }
    Shrink { prune, quantize }
}
