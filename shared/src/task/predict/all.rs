//! Several requests as one run.

use std::time::Instant;

use tract_core::prelude::Tensor;

use super::{Answer, Payload, PredictError, read_inputs, scores};
use crate::engine::EngineError;
use crate::model::{Manifest, Model};

/// The most elements of inputs that run together: beyond that nothing is won, and activations take memory.
const ELEMENTS: usize = 1 << 20;

/// What a request gives to the graph.
struct Given {
    inputs: Vec<Tensor>,
    many: bool,
    rows: usize,
}

/// Answers several requests, each as if it were alone. Those whose rows fit together are run as one batch; where that
/// fails, one by one.
pub fn predict_all(model: &Model, payloads: &[Payload]) -> Vec<Result<Answer, PredictError>> {
    let manifest = model.manifest();
    let mut answers: Vec<Option<Result<Answer, PredictError>>> = Vec::new();
    let mut given = Vec::new();
    for (place, payload) in payloads.iter().enumerate() {
        answers.push(None);
        match read_inputs(payload, manifest) {
            Ok((inputs, many)) => given.push((place, Given { rows: super::rows(&inputs, manifest), inputs, many })),
            Err(error) => answers[place] = Some(Err(error.into())),
        }
    }
    for batch in batches(given, manifest) {
        let places: Vec<_> = batch.iter().map(|(place, _)| *place).collect();
        let batch: Vec<_> = batch.into_iter().map(|(_, given)| given).collect();
        for (place, answer) in places.into_iter().zip(run_batch(model, batch)) {
            answers[place] = Some(answer);
        }
    }
    let missing = || Err(EngineError::Run("there is no answer".to_owned()).into());
    answers.into_iter().map(|answer| answer.unwrap_or_else(missing)).collect()
}

/// What can run together: inputs that differ in nothing but their numbers of rows, up to a bound.
fn batches(given: Vec<(usize, Given)>, manifest: &Manifest) -> Vec<Vec<(usize, Given)>> {
    let batched = manifest.inputs.iter().all(|input| input.is_batched());
    let elements = |given: &Given| given.inputs.iter().map(Tensor::len).sum::<usize>();
    let mut batches: Vec<(usize, Vec<(usize, Given)>)> = Vec::new();
    for (place, given) in given {
        let size = elements(&given);
        let fits = |(taken, batch): &&mut (usize, Vec<(usize, Given)>)| {
            batched && *taken + size <= ELEMENTS && batch.first().is_some_and(|(_, first)| alike(first, &given))
        };
        match batches.iter_mut().find(fits) {
            Some((taken, batch)) => {
                *taken += size;
                batch.push((place, given));
            }
            None => batches.push((size, vec![(place, given)])),
        }
    }
    batches.into_iter().map(|(_, batch)| batch).collect()
}

/// Whether two requests give rows of the same shapes, every input as many as the others.
fn alike(one: &Given, other: &Given) -> bool {
    let tail = |tensor: &Tensor| tensor.shape().get(1..).map(<[usize]>::to_vec);
    let whole = |given: &Given| given.inputs.iter().all(|tensor| tensor.shape().first() == Some(&given.rows));
    whole(one) && whole(other) && one.inputs.iter().zip(&other.inputs).all(|(a, b)| tail(a) == tail(b))
}

fn run_batch(model: &Model, batch: Vec<Given>) -> Vec<Result<Answer, PredictError>> {
    if batch.len() > 1
        && let Ok(answers) = run_together(model, &batch)
    {
        return answers.into_iter().map(Ok).collect();
    }
    batch.into_iter().map(|given| run(model, given)).collect()
}

fn run(model: &Model, given: Given) -> Result<Answer, PredictError> {
    let Given { inputs, many, rows } = given;
    let start = Instant::now();
    let outputs = model.run(inputs)?;
    Ok(Answer { run: start.elapsed(), predictions: scores::read(model.manifest(), &outputs, rows), many })
}

fn run_together(model: &Model, batch: &[Given]) -> Result<Vec<Answer>, EngineError> {
    let column = |input: usize| batch.iter().filter_map(|given| given.inputs.get(input)).collect::<Vec<_>>();
    let stacked = (0..model.manifest().inputs.len()).map(|input| Tensor::stack_tensors(0, &column(input)));
    let inputs = stacked.collect::<Result<_, _>>().map_err(|error| EngineError::Run(error.to_string()))?;
    let start = Instant::now();
    let outputs = model.run(inputs)?;
    let run = start.elapsed();
    let rows = batch.iter().map(|given| given.rows).sum();
    let mut predictions = scores::read(model.manifest(), &outputs, rows).into_iter();
    let answer =
        |given: &Given| Answer { predictions: predictions.by_ref().take(given.rows).collect(), many: given.many, run };
    Ok(batch.iter().map(answer).collect())
}
