//! Tensors to calibrate a model with.

use anyhow::Result;
use emberlite::engine::Plan;
use emberlite::model::{Manifest, Problem};
use emberlite::task::{self, Payload};
use serde_json::Value;
use tract_core::prelude::{Tensor, TypedModel};

use crate::calibrate::Calibration;
use crate::pack::samples::{Sampler, Words};
use crate::progress::Progress;
use crate::quantize::{Measure, Probe};

/// How many random rows are made where nothing else is there.
const RANDOM_ROWS: usize = 64;
/// How many runs they are spread over.
const RUNS: usize = 8;

/// Inputs, and what the source gives for them.
pub(super) struct Inputs {
    probe: Probe,
    expected: Vec<Vec<f32>>,
}

impl Inputs {
    /// The given inputs, and random ones.
    pub(super) fn new(manifest: &Manifest, source: &Plan, words: &Words, given: &[&Value]) -> Result<Self> {
        let mut inputs: Vec<Vec<Tensor>> = Vec::new();
        for value in given {
            let payload = Payload::Json((*value).clone());
            inputs.push(task::read_inputs(&payload, manifest)?.0);
        }
        let mut sampler = Sampler::new(1, source, words);
        let rows = if manifest.inputs.iter().any(|input| input.is_batched()) { RANDOM_ROWS / RUNS } else { 1 };
        for _ in 0..RUNS {
            inputs.push(sampler.inputs(manifest, rows)?);
        }
        let probe = Probe { inputs };
        let expected = probe.numbers(|inputs| source.run(inputs))?;
        Ok(Self { probe, expected })
    }
}

impl Calibration for Inputs {
    fn name(&self) -> &str {
        "random inputs"
    }

    fn run(&self, model: &TypedModel, progress: &Progress) -> Result<()> {
        let plan = Plan::new(model.clone())?;
        progress.count("reading the inputs to calibrate with", self.probe.inputs.len());
        for inputs in &self.probe.inputs {
            plan.run(inputs.clone())?;
            progress.advance();
        }
        Ok(())
    }

    fn outputs(&self, model: &TypedModel) -> Result<Vec<Vec<f32>>> {
        let plan = Plan::new(model.clone())?;
        self.probe.numbers(|inputs| plan.run(inputs))
    }

    fn expected(&self) -> Result<&[Vec<f32>]> {
        Ok(&self.expected)
    }

    fn distance(&self, expected: &[Vec<f32>], got: &[Vec<f32>]) -> f64 {
        Measure::Logits(Problem::Regression).error(expected, got)
    }
}
