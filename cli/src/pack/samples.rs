//! Random inputs for a model, within what its manifest says of them.

use anyhow::{Result, anyhow};
use emberlite::model::{Dim, Dtype, Feature, Manifest, TensorSpec};
use emberlite::task::elements::Elements;
use serde_json::{Value, json};
use tract_core::prelude::Tensor;

/// How long a dimension is that varies and is not the batch.
const FREE_DIM: usize = 5;

/// Makes the same inputs for the same seed.
#[derive(Debug)]
pub(super) struct Sampler {
    random: fastrand::Rng,
}

impl Sampler {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed) }
    }

    /// One tensor per input, `rows` long in the batch dimension where it varies.
    pub(super) fn inputs(&mut self, manifest: &Manifest, rows: usize) -> Result<Vec<Tensor>> {
        manifest.inputs.iter().map(|input| self.input(input, &manifest.features, rows)).collect()
    }

    fn input(&mut self, input: &TensorSpec, features: &[Feature], rows: usize) -> Result<Tensor> {
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
                Some(feature) => self.feature(feature, input.dtype),
                None => self.value(input.dtype, -2.0, 2.0),
            };
            if !elements.push(&value) {
                return Err(anyhow!("{value} is no {}: check the choices and bounds of the features", input.dtype));
            }
        }
        elements.into_tensor(&shape).map_err(|reason| anyhow!(reason))
    }

    fn feature(&mut self, feature: &Feature, dtype: Dtype) -> Value {
        if !feature.choices.is_empty() {
            let choice = self.random.usize(..feature.choices.len());
            let text = feature.choices.keys().nth(choice).cloned().unwrap_or_default();
            return match (dtype, text.parse::<f64>()) {
                (Dtype::Bytes, _) | (_, Err(_)) => Value::String(text),
                (_, Ok(number)) => json!(number),
            };
        }
        let low = feature.minimum.unwrap_or(-2.0);
        self.value(dtype, low, feature.maximum.unwrap_or(low + 4.0))
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
