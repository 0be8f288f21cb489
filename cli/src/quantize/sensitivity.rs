//! What each layer's quantization costs by itself.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, ensure};
use emberlite::engine::EngineError;
use emberlite::ops::WeightFormat;
use std::sync::Arc;
use tract_core::prelude::{Tensor, TypedModel};

use super::{Quantize, rounded};
use crate::calibrate::Calibration;

/// Inputs on which models are compared: their first outputs, a row for each text.
#[derive(Debug)]
pub struct Probe {
    /// The inputs of each run, in the graph's order.
    pub inputs: Vec<Vec<Tensor>>,
}

impl Probe {
    /// All numbers that a model gives, a row for each run.
    ///
    /// # Errors
    /// A model that fails, or that gives no numbers.
    pub fn numbers(&self, run: impl Fn(Vec<Tensor>) -> Result<Vec<Arc<Tensor>>, EngineError>) -> Result<Vec<Vec<f32>>> {
        let mut rows = Vec::with_capacity(self.inputs.len());
        for inputs in &self.inputs {
            let mut row = Vec::new();
            for output in run(inputs.clone())? {
                let Ok(numbers) = output.cast_to::<f32>() else { continue };
                let view = numbers.try_as_plain_ram().map_err(|error| anyhow!("{error}"))?;
                row.extend_from_slice(view.as_slice::<f32>().map_err(|error| anyhow!("{error}"))?);
            }
            ensure!(!row.is_empty(), "the model gives no numbers");
            rows.push(row);
        }
        Ok(rows)
    }

    /// The rows that a model gives.
    ///
    /// # Errors
    /// A model that fails, or whose first output is no `f32` `[batch, width]`.
    pub fn rows(&self, run: impl Fn(Vec<Tensor>) -> Result<Vec<Arc<Tensor>>, EngineError>) -> Result<Vec<Vec<f32>>> {
        let mut rows = Vec::new();
        for inputs in &self.inputs {
            let outputs = run(inputs.clone())?;
            let output = outputs.first().ok_or_else(|| anyhow!("the model has no output"))?;
            ensure!(output.rank() == 2, "expected an output [batch, width], got {:?}", output.shape());
            let view = output.try_as_plain_ram().map_err(|error| anyhow!("{error}"))?;
            let values = view.as_slice::<f32>().map_err(|error| anyhow!("{error}"))?;
            rows.extend(values.chunks(output.shape()[1].max(1)).map(<[f32]>::to_vec));
        }
        Ok(rows)
    }
}

/// The error of each layer where it alone has another format, against the model as it is; `done` is called after each.
///
/// # Errors
/// A layer that can't be quantized, or a model that fails.
pub(super) fn errors(
    model: &TypedModel,
    layers: &[String],
    format: WeightFormat,
    calibration: &dyn Calibration,
    done: impl Fn(),
) -> Result<BTreeMap<String, f64>> {
    let reference = calibration.outputs(model)?;
    let error = |layer: &String| {
        let alone = Quantize(BTreeMap::from([(layer.clone(), format)])).applied(model)?;
        let error = calibration.distance(&reference, &calibration.outputs(&alone)?);
        done();
        Ok((layer.clone(), rounded(error)))
    };
    layers.iter().map(error).collect()
}
