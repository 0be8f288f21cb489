//! The task `predict`: a row, a table, an image or tensors in, predictions out.

mod all;

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tract_core::prelude::Tensor;

use super::elements::describe;
use super::scores::{self, Prediction};
use super::{InputError, Row, check_tensors, image, json, table};
use crate::engine::EngineError;
use crate::model::{Manifest, Model};

pub use all::predict_all;

/// What a request carries.
#[derive(Clone, Debug)]
pub enum Payload {
    /// The value of a request's `input`.
    Json(Value),
    /// A PNG or JPEG file.
    Image(Bytes),
    /// A row of a CSV file.
    Row(Row),
}

/// The predictions for a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// One per row.
    pub predictions: Vec<Prediction>,
    /// Whether the request held a list of rows, were it of one.
    pub many: bool,
    /// How long the model ran.
    pub run: Duration,
}

/// Why there is no prediction.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum PredictError {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Answers a request.
///
/// # Errors
/// An input that does not fit the model, or a model that fails.
pub fn predict(model: &Model, payload: &Payload) -> Result<Answer, PredictError> {
    let manifest = model.manifest();
    let (inputs, many) = read_inputs(payload, manifest)?;
    let rows = rows(&inputs, manifest);
    let start = Instant::now();
    let outputs = model.run(inputs)?;
    let run = start.elapsed();
    Ok(Answer { predictions: scores::read(manifest, &outputs, rows), many, run })
}

/// How many rows inputs have.
fn rows(inputs: &[Tensor], manifest: &Manifest) -> usize {
    let batched = manifest.inputs.first().is_some_and(|input| input.is_batched());
    if batched { inputs.first().map_or(1, |tensor| tensor.shape().first().copied().unwrap_or(1)) } else { 1 }
}

/// The inputs of the graph for a request, and whether the request held a list of rows.
///
/// # Errors
/// An input that does not fit the model.
pub fn read_inputs(payload: &Payload, manifest: &Manifest) -> Result<(Vec<Tensor>, bool), InputError> {
    let (inputs, many) = read(payload, manifest)?;
    check_tensors(&inputs, &manifest.inputs)?;
    Ok((inputs, many))
}

fn read(payload: &Payload, manifest: &Manifest) -> Result<(Vec<Tensor>, bool), InputError> {
    match (payload, &manifest.image) {
        (Payload::Image(bytes), Some(spec)) => Ok((vec![image::read(&[bytes.to_vec()], spec)?], false)),
        (Payload::Image(_), None) => Err(InputError::NotAnImageModel { expected: what_it_takes(manifest) }),
        (Payload::Json(Value::String(text)), Some(spec)) => {
            Ok((vec![image::read(&[image::from_base64(text)?], spec)?], false))
        }
        (Payload::Json(Value::Array(list)), Some(spec)) if matches!(list.first(), Some(Value::String(_))) => {
            let images = list.iter().map(|value| match value {
                Value::String(text) => image::from_base64(text),
                other => Err(InputError::Image(format!("expected base64 text, got {}", describe(other)))),
            });
            Ok((vec![image::read(&images.collect::<Result<Vec<_>, _>>()?, spec)?], true))
        }
        (Payload::Json(value), _) if !manifest.features.is_empty() => table::read(value, manifest),
        (Payload::Json(value), _) => read_tensors(value, manifest),
        (Payload::Row(row), _) => read(&Payload::Json(row.value(manifest)), manifest),
    }
}

/// Nested lists: as they are where the model has one input, else in an object by input name.
fn read_tensors(value: &Value, manifest: &Manifest) -> Result<(Vec<Tensor>, bool), InputError> {
    if let ([input], false) = (manifest.inputs.as_slice(), value.is_object()) {
        let (tensor, many) = json::read(value, input)?;
        return Ok((vec![tensor], many));
    }
    let Value::Object(values) = value else {
        return Err(InputError::Shape {
            input: "input".to_owned(),
            expected: what_it_takes(manifest),
            got: describe(value),
        });
    };
    let known = || manifest.inputs.iter().map(|input| input.name.clone());
    if let Some(stranger) = values.keys().find(|name| !known().any(|known| known == **name)) {
        return Err(InputError::UnknownInput { input: stranger.clone(), known: known().collect() });
    }
    let mut tensors = Vec::with_capacity(manifest.inputs.len());
    let mut many = false;
    for input in &manifest.inputs {
        let value = values.get(&input.name).ok_or_else(|| InputError::MissingInput(input.name.clone()))?;
        let (tensor, batched) = json::read(value, input)?;
        tensors.push(tensor);
        many |= batched;
    }
    Ok((tensors, many))
}

/// What a request's `input` may be, in words.
fn what_it_takes(manifest: &Manifest) -> String {
    if !manifest.features.is_empty() {
        return format!("a row of {} features, as a list or an object", manifest.features.len());
    }
    let inputs: Vec<_> =
        manifest.inputs.iter().map(|input| format!("{} {} {}", input.name, input.dtype, input.shape_text())).collect();
    match inputs.as_slice() {
        [only] => format!("nested lists for {only}"),
        _ => format!("an object of nested lists for {}", inputs.join(", ")),
    }
}
