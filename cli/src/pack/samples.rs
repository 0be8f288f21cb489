//! Random inputs for a model, within what its manifest says of them.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Result, anyhow};
use emberlite::engine::Plan;
use emberlite::model::{Dim, Dtype, Feature, Manifest, TensorSpec};
use emberlite::task::elements::Elements;
use serde_json::{Value, json};
use tract_core::prelude::Tensor;

/// How long a dimension is that varies and is not the batch.
const FREE_DIM: usize = 5;

/// The words that the model itself knows, by input of texts.
pub(crate) type Words = BTreeMap<String, Vec<String>>;

/// Makes the same inputs for the same seed.
#[derive(Debug)]
pub(crate) struct Sampler<'a> {
    random: fastrand::Rng,
    words: &'a Words,
    /// By input: the integers that choose a row.
    ids: Vec<Option<Range<i64>>>,
}

impl<'a> Sampler<'a> {
    pub(super) fn new(seed: u64, plan: &Plan, words: &'a Words) -> Self {
        Self::of(seed, plan.ids().collect(), words)
    }

    /// Of a model whose inputs choose rows by these integers.
    pub(crate) fn of(seed: u64, ids: Vec<Option<Range<i64>>>, words: &'a Words) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), words, ids }
    }

    /// One tensor per input, `rows` long in the batch dimension where it varies.
    pub(crate) fn inputs(&mut self, manifest: &Manifest, rows: usize) -> Result<Vec<Tensor>> {
        let inputs = manifest.inputs.iter().enumerate();
        inputs.map(|(place, input)| self.input(place, input, &manifest.features, rows)).collect()
    }

    fn input(&mut self, place: usize, input: &TensorSpec, features: &[Feature], rows: usize) -> Result<Tensor> {
        let sizes = input.shape.iter().enumerate().map(|(axis, dim)| match dim {
            Dim::Fixed(size) => *size,
            Dim::Symbol(_) if axis == 0 => rows,
            Dim::Symbol(_) => FREE_DIM,
        });
        let shape: Vec<_> = sizes.collect();
        let columns: Vec<_> = features.iter().filter(|feature| feature.input == input.name).collect();
        let volume = shape.iter().product();
        let mut elements = Elements::with_capacity(input.dtype, volume);
        for index in 0..volume {
            let value = match columns.get(index % columns.len().max(1)) {
                Some(feature) if !feature.choices.is_empty() => self.choice(feature, input.dtype),
                Some(feature) if input.dtype != Dtype::Bytes => self.number_of(feature, input.dtype),
                _ => match self.word(&input.name).or_else(|| self.id(place)) {
                    Some(value) => value,
                    None if self.is_mask(input.dtype) => self.value(input.dtype, 0.0, 1.0),
                    None => self.value(input.dtype, -2.0, 2.0),
                },
            };
            if !elements.push(&value) {
                return Err(anyhow!("{value} is no {}: check the choices and bounds of the features", input.dtype));
            }
        }
        elements.into_tensor(&shape).map_err(|reason| anyhow!(reason))
    }

    fn choice(&mut self, feature: &Feature, dtype: Dtype) -> Value {
        let choice = self.random.usize(..feature.choices.len());
        let text = feature.choices.keys().nth(choice).cloned().unwrap_or_default();
        match (dtype, text.parse::<f64>()) {
            (Dtype::Bytes, _) | (_, Err(_)) => Value::String(text),
            (_, Ok(number)) => json!(number),
        }
    }

    fn number_of(&mut self, feature: &Feature, dtype: Dtype) -> Value {
        let low = feature.minimum.unwrap_or(-2.0);
        self.value(dtype, low, feature.maximum.unwrap_or(low + 4.0))
    }

    /// A word that the model knows for this input: others may be refused.
    fn word(&mut self, input: &str) -> Option<Value> {
        let words = self.words.get(input).filter(|words| !words.is_empty())?;
        Some(json!(words[self.random.usize(..words.len())]))
    }

    /// A number that chooses a row, of an input whose numbers do.
    fn id(&mut self, place: usize) -> Option<Value> {
        let known = self.ids.get(place)?.clone()?;
        (known.end > 0).then(|| json!(self.random.i64(0..known.end)))
    }

    /// Whether an input that chooses no row tells which of the ids beside it count.
    fn is_mask(&self, dtype: Dtype) -> bool {
        dtype.datum_type().is_integer() && self.ids.iter().any(Option::is_some)
    }

    fn value(&mut self, dtype: Dtype, low: f64, high: f64) -> Value {
        let number = low + self.random.f64() * (high - low);
        match dtype {
            Dtype::Bool => json!(self.random.bool()),
            Dtype::Fp16 | Dtype::Fp32 | Dtype::Fp64 => json!(number),
            Dtype::Bytes => json!((0..4).map(|_| self.random.lowercase()).collect::<String>()),
            _ => json!(number.abs().round()),
        }
    }
}
