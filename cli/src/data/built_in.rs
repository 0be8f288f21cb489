//! Examples for a model that none are given for.

use anyhow::{Result, ensure};
use emberlite::model::{Dim, Dtype, Feature, Manifest, Model, Task, TensorSpec};
use emberlite::task::{self, Payload};
use serde_json::{Value, json};

use super::{Data, Example, Input};
use crate::texts;

/// How many random inputs there are.
const RANDOM: usize = 128;
/// How long a dimension is that varies and is not the batch.
const FREE_DIM: usize = 5;

/// Sentences, or random inputs.
pub(super) fn data(model: &Model) -> Result<Data> {
    let manifest = model.manifest();
    let sentences = texts::sentences();
    let inputs: Vec<Input> = match manifest.task {
        Task::Predict => return random(model),
        Task::Generate => vec![Input::Text(sentences.join("\n"))],
        Task::Rerank => {
            let next = sentences.iter().cycle().skip(1).cloned();
            sentences.iter().cloned().zip(next).map(|(query, text)| Input::Pair(query, text)).collect()
        }
        Task::Embed | Task::Classify => sentences.into_iter().map(Input::Text).collect(),
    };
    let example = |(index, input)| Example { name: format!("sentence {}", index + 1), input, label: None };
    let examples = inputs.into_iter().enumerate().map(example).collect();
    Ok(Data { name: "built-in sentences".to_owned(), examples })
}

/// The model's own examples, and random inputs that it answers.
fn random(model: &Model) -> Result<Data> {
    let manifest = model.manifest();
    let mut random = fastrand::Rng::with_seed(0);
    let given = manifest.examples.iter().map(|example| (example.title.clone(), example.input.clone()));
    let made = (1..=RANDOM).map(|number| (format!("random {number}"), value(manifest, &mut random)));
    let (names, payloads): (Vec<_>, Vec<_>) =
        given.chain(made).map(|(name, value)| (name, Payload::Json(value))).unzip();
    let answers = task::predict_all(model, &payloads);
    let reason = answers.iter().find_map(|answer| answer.as_ref().err().map(ToString::to_string)).unwrap_or_default();
    let answered = names.into_iter().zip(payloads).zip(&answers).filter(|(_, answer)| answer.is_ok());
    let example = |((name, payload), _)| Example { name, input: Input::Payload(payload), label: None };
    let examples: Vec<_> = answered.map(example).collect();
    ensure!(!examples.is_empty(), "the model answers no random input ({reason}): give it some with --data FILE");
    Ok(Data { name: "random inputs".to_owned(), examples })
}

/// What goes into a request's `input`.
fn value(manifest: &Manifest, random: &mut fastrand::Rng) -> Value {
    if !manifest.features.is_empty() {
        let dtype = |feature: &Feature| {
            let input = manifest.inputs.iter().find(|input| input.name == feature.input);
            input.map_or(Dtype::Fp32, |input| input.dtype)
        };
        let fields =
            manifest.features.iter().map(|feature| (feature.name.clone(), cell(feature, dtype(feature), random)));
        return Value::Object(fields.collect());
    }
    let bounds = bounds(manifest);
    let input = |input: &TensorSpec, random: &mut fastrand::Rng| {
        let sizes = input.shape.iter().enumerate().skip(usize::from(input.is_batched()));
        let sizes: Vec<usize> = sizes
            .map(|(_, dim)| match dim {
                Dim::Fixed(size) => *size,
                Dim::Symbol(_) => FREE_DIM,
            })
            .collect();
        nested(&sizes, &mut || element(input.dtype, bounds, random))
    };
    match manifest.inputs.as_slice() {
        [only] => input(only, random),
        several => Value::Object(several.iter().map(|spec| (spec.name.clone(), input(spec, random))).collect()),
    }
}

/// A value of a feature.
fn cell(feature: &Feature, dtype: Dtype, random: &mut fastrand::Rng) -> Value {
    if !feature.choices.is_empty() {
        let choice = feature.choices.keys().nth(random.usize(..feature.choices.len())).cloned().unwrap_or_default();
        return match (dtype, choice.parse::<f64>()) {
            (Dtype::Bytes, _) | (_, Err(_)) => Value::String(choice),
            (_, Ok(number)) => json!(number),
        };
    }
    let low = feature.minimum.unwrap_or(-2.0);
    element(dtype, (low, feature.maximum.unwrap_or(low + 4.0)), random)
}

/// What lies between black and white, or around 0.
fn bounds(manifest: &Manifest) -> (f64, f64) {
    let Some(image) = &manifest.image else { return (-2.0, 2.0) };
    let mean = f64::from(image.mean.first().copied().unwrap_or(0.0));
    let std = f64::from(image.std.first().copied().unwrap_or(1.0));
    (-mean / std, (255.0 * f64::from(image.scale) - mean) / std)
}

fn nested(sizes: &[usize], element: &mut impl FnMut() -> Value) -> Value {
    match sizes.split_first() {
        None => element(),
        Some((size, inner)) => (0..*size).map(|_| nested(inner, element)).collect(),
    }
}

fn element(dtype: Dtype, (low, high): (f64, f64), random: &mut fastrand::Rng) -> Value {
    let number = low + random.f64() * (high - low);
    match dtype {
        Dtype::Bool => json!(random.bool()),
        Dtype::Fp16 | Dtype::Fp32 | Dtype::Fp64 => json!(number),
        Dtype::Bytes => json!((0..4).map(|_| random.lowercase()).collect::<String>()),
        _ => json!(number.abs().round()),
    }
}
