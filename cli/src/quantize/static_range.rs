//! Inputs of int8 layers that are quantized over ranges found beforehand.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use emberlite::ops::{Linear, WeightFormat};
use tract_core::prelude::{TypedModel, TypedNode};

use super::gptq::linear;
use super::histogram::Histogram;
use super::layer_loss::layer_loss;
use super::range::RangeMethod;
use super::statistics::Statistics;
use super::{observe, parallel, with_linears};
use crate::calibrate::Calibration;
use crate::progress::Progress;

/// What a layer's outputs may lose by a fixed range, as a part of their square. A layer that would lose more, as where some
/// tokens have inputs a hundred times as great as others, goes on to quantize each row over its own range.
const MOST: f64 = 0.003;

/// The model with the inputs of its int8 layers quantized over fixed ranges.
///
/// # Errors
/// A model that fails.
pub(super) fn fixed(
    model: &TypedModel,
    method: RangeMethod,
    calibration: &dyn Calibration,
    progress: &Progress,
) -> Result<TypedModel> {
    let layers: Vec<String> = int8(model).map(|(node, _)| node.name.clone()).collect();
    let seen: BTreeMap<String, (Histogram, Statistics)> = observe(model, &layers, calibration, progress)?;
    progress.count("finding each layer's range", layers.len());
    let found: Vec<Option<(String, Linear)>> = parallel::map(&layers, |layer| {
        progress.advance();
        let Some((histogram, statistics)) = seen.get(layer) else { return Ok(None) };
        let own = linear(model, layer)?;
        let fixed = method.range(histogram).and_then(|range| own.clone().with_range(range));
        let fixed = fixed.map_err(|reason| anyhow!("{layer}: {reason}"))?;
        let samples = statistics.samples();
        Ok((!samples.is_empty() && loss(own, &fixed, samples) <= MOST).then(|| (layer.clone(), fixed)))
    })?;
    with_linears(model, found.into_iter().flatten().collect())
}

/// How many layers have fixed ranges, of how many that could.
pub(super) fn count(model: &TypedModel) -> (usize, usize) {
    (int8(model).filter(|(_, layer)| layer.range().is_some()).count(), int8(model).count())
}

fn int8(model: &TypedModel) -> impl Iterator<Item = (&TypedNode, &Linear)> {
    let layers = model.nodes().iter().filter_map(|node| Some((node, node.op_as::<Linear>()?)));
    layers.filter(|(_, layer)| layer.format() == WeightFormat::Int8)
}

/// What a layer over a fixed range loses against what it gives over rows' own ranges; the samples are multiplied with the
/// layer's factors already.
fn loss(own: &Linear, fixed: &Linear, samples: &[f32]) -> f64 {
    let [expected, got] = [own, fixed].map(|layer| layer.clone().without_factors().apply(samples));
    layer_loss(&expected, &got, own.outputs())
}
