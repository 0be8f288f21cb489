//! Tensors to calibrate a model with.

use anyhow::{Context as _, Result, anyhow};
use emberlite::engine::Plan;
use emberlite::model::{Dim, Manifest, Model, Problem, Role, TensorSpec};
use emberlite::task::{self, Payload};
use serde_json::Value;
use tract_core::prelude::{Tensor, TypedModel};

use super::answers::Answers;
use crate::calibrate::Calibration;
use crate::data::{Columns, Data, Input};
use crate::pack::samples::{Sampler, Words};
use crate::progress::Progress;
use crate::quantize::Measure;
use crate::texts::TextFile;

/// How many random rows are made where nothing else is there.
const RANDOM_ROWS: usize = 64;
/// How many runs they are spread over.
const RUNS: usize = 8;
/// What inputs are called that are there without a file.
const RANDOM: &str = "random inputs";
/// How many examples of a file are used at most, and at least where there are so many; between them so many that their
/// inputs have as many elements as are worth while.
const MOST: usize = 8192;
const LEAST: usize = 256;
const ELEMENTS: usize = 1 << 27;
/// How many of them run together.
const TOGETHER: usize = 32;

/// Inputs, and what the source gives for them.
pub(super) struct Inputs {
    name: String,
    /// The inputs of each run, in the graph's order.
    runs: Vec<Vec<Tensor>>,
    answers: Answers,
    expected: Vec<Vec<f32>>,
}

impl Inputs {
    /// Those of a file.
    ///
    /// # Errors
    /// A file that does not fit the model, or a model that fails on it.
    pub(super) fn read(file: &TextFile, manifest: &Manifest, source: &Plan) -> Result<Self> {
        let columns = Columns { text: file.column.clone(), ..Columns::default() };
        let mut data = Data::read(&file.file, &columns, manifest)?;
        if file.every_second {
            data.examples = data.examples.into_iter().step_by(2).collect();
        }
        let elements: usize = manifest.inputs.iter().map(elements).sum();
        let data = data.spread((ELEMENTS / elements.max(1)).clamp(LEAST, MOST));
        let mut rows = Vec::with_capacity(data.examples.len());
        for example in &data.examples {
            let Input::Payload(payload) = &example.input else { continue };
            let (inputs, _) = task::read_inputs(payload, manifest)
                .with_context(|| format!("{} of {} does not fit the model", example.name, data.name))?;
            rows.push(inputs);
        }
        let runs = if manifest.inputs.iter().all(|input| input.is_batched()) { together(&rows)? } else { rows };
        Self::new(data.name, runs, manifest, source)
    }

    /// The given inputs, and random ones.
    ///
    /// # Errors
    /// Inputs that do not fit the model, or a model that fails on them.
    pub(super) fn random(manifest: &Manifest, source: &Plan, words: &Words, given: &[&Value]) -> Result<Self> {
        let mut runs: Vec<Vec<Tensor>> = Vec::new();
        for value in given {
            let payload = Payload::Json((*value).clone());
            runs.push(task::read_inputs(&payload, manifest)?.0);
        }
        let mut sampler = Sampler::new(1, source, words);
        let rows = if manifest.inputs.iter().any(|input| input.is_batched()) { RANDOM_ROWS / RUNS } else { 1 };
        for _ in 0..RUNS {
            runs.push(sampler.inputs(manifest, rows)?);
        }
        Self::new(RANDOM.to_owned(), runs, manifest, source)
    }

    fn new(name: String, runs: Vec<Vec<Tensor>>, manifest: &Manifest, source: &Plan) -> Result<Self> {
        let answers = Answers::of(manifest);
        let expected = answers.all(&runs, |inputs| source.run(inputs))?;
        Ok(Self { name, runs, answers, expected })
    }

    /// What a package answers.
    ///
    /// # Errors
    /// A model that fails.
    pub(super) fn packed(&self, packed: &Model) -> Result<Vec<Vec<f32>>> {
        self.answers.all(&self.runs, |inputs| packed.run(inputs))
    }

    /// How the answers are compared.
    pub(super) fn measure(&self) -> Measure {
        match self.answers.role() {
            Role::Probabilities | Role::Logits => Measure::Logits(Problem::SingleLabel),
            Role::Label | Role::Values => Measure::Logits(Problem::Regression),
        }
    }
}

/// Examples that run together, one after the other in each tensor.
fn together(rows: &[Vec<Tensor>]) -> Result<Vec<Vec<Tensor>>> {
    let joined = |rows: &[Vec<Tensor>]| {
        let inputs = 0..rows.first().map_or(0, Vec::len);
        let tensor = |input: usize| {
            let tensors: Vec<&Tensor> = rows.iter().map(|row| &row[input]).collect();
            Tensor::stack_tensors(0, &tensors).map_err(|error| anyhow!("{error:#}"))
        };
        inputs.map(tensor).collect::<Result<Vec<_>>>()
    };
    let alike = |pair: &[Vec<Tensor>]| pair[0].iter().zip(&pair[1]).all(|(a, b)| a.shape()[1..] == b.shape()[1..]);
    if rows.windows(2).all(alike) { rows.chunks(TOGETHER).map(joined).collect() } else { Ok(rows.to_vec()) }
}

/// How many elements a row of an input has, what varies counted once.
fn elements(input: &TensorSpec) -> usize {
    let fixed = input.shape.iter().map(|dim| if let Dim::Fixed(size) = dim { *size } else { 1 });
    fixed.product()
}

impl Calibration for Inputs {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&self, model: &TypedModel, progress: &Progress) -> Result<()> {
        let plan = Plan::new(model.clone())?;
        progress.count("reading the inputs to calibrate with", self.runs.len());
        for inputs in &self.runs {
            plan.run(inputs.clone())?;
            progress.advance();
        }
        Ok(())
    }

    fn outputs(&self, model: &TypedModel) -> Result<Vec<Vec<f32>>> {
        let plan = Plan::new(model.clone())?;
        self.answers.all(&self.runs, |inputs| plan.run(inputs))
    }

    fn expected(&self) -> Result<&[Vec<f32>]> {
        Ok(&self.expected)
    }

    fn distance(&self, expected: &[Vec<f32>], got: &[Vec<f32>]) -> f64 {
        self.answers.distance(expected, got)
    }
}
