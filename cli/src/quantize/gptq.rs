//! Rounding many layers to 4 bits, each with regard to what its inputs are like on the inputs to calibrate with.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow};
use emberlite::ops::{Linear, Q4Blocks};
use tract_core::prelude::TypedModel;

use super::{Observations, parallel, q4};
use crate::calibrate::Calibration;
use crate::progress::Progress;

/// Rounds the linear layers that are named.
///
/// # Errors
/// A model that fails, or a layer that is none or was never run.
pub(super) fn rounded(
    model: &TypedModel,
    layers: &[String],
    calibration: &dyn Calibration,
    progress: &Progress,
) -> Result<BTreeMap<String, Q4Blocks>> {
    if layers.is_empty() {
        return Ok(BTreeMap::new());
    }
    let observations = Observations::default();
    calibration.run(&observations.watch(model, layers)?, progress)?;
    progress.count("rounding each layer's weights", layers.len());
    parallel::map(layers, |layer| {
        let blocks = round(model, layer, &observations)?;
        progress.advance();
        Ok((layer.clone(), blocks))
    })
}

fn round(model: &TypedModel, layer: &str, observations: &Observations) -> Result<Q4Blocks> {
    let node = model.node_by_name(layer).map_err(|error| anyhow!("{error:#}"))?;
    let linear = node.op_as::<Linear>().with_context(|| format!("{layer} is no linear layer"))?;
    let moments = observations.take(layer).with_context(|| format!("{layer} was never run"))?;
    q4::rounded(&linear.dense(), linear.outputs(), linear.inputs(), &moments)
        .map_err(|reason| anyhow!("{layer}: {reason}"))
}
