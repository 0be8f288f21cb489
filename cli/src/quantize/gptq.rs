//! Rounding many layers to 4 bits, each with regard to what its inputs are like on the inputs to calibrate with.
//!
//! A layer is rounded for the inputs that it will have, which other layers made that are quantized already; what it is to
//! give is what it gave for the inputs that it had before. So the layers are gone through stage by stage, each with two
//! runs over the inputs to calibrate with. A model for which that takes too long is rounded in one go, for the inputs that
//! it had before.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow};
use emberlite::ops::Linear;
use tract_core::prelude::TypedModel;

use super::groups::groups;
use super::observe::Rows;
use super::{Moments, observe, parallel, q4, with_linears};
use crate::calibrate::Calibration;
use crate::progress::Progress;

/// How many weights may be run in all stages together, times the runs of a stage.
const WORK: usize = 100_000_000;
/// With fewer stages than these there is but one.
const FEWEST_STAGES: usize = 4;

/// What is rounded, and for which inputs.
pub(super) struct Rounding<'a> {
    /// The model before.
    pub(super) model: &'a TypedModel,
    /// The layers to round.
    pub(super) layers: &'a [String],
    /// What the inputs of some layers are multiplied with first.
    pub(super) factors: &'a BTreeMap<String, Vec<f32>>,
    pub(super) calibration: &'a dyn Calibration,
    pub(super) progress: &'a Progress,
}

impl Rounding<'_> {
    /// The model with its layers rounded stage by stage; `quantized` is the model with all others as they will be.
    ///
    /// # Errors
    /// A model that fails, or a layer that was never run.
    pub(super) fn in_stages(&self, mut quantized: TypedModel) -> Result<TypedModel> {
        let groups = groups(self.model, self.layers)?;
        let mut weights = 0;
        for layer in self.layers {
            let linear = linear(self.model, layer)?;
            weights += linear.inputs() * linear.outputs();
        }
        let stages = (WORK / weights.max(1)).min(groups.len());
        if stages < FEWEST_STAGES.min(groups.len()) {
            return with_linears(&quantized, self.at_once()?);
        }
        for stage in 0..stages {
            let stage = &groups[groups.len() * stage / stages..groups.len() * (stage + 1) / stages];
            let first: Vec<String> = stage.iter().filter_map(|group| group.first().cloned()).collect();
            let mut before: BTreeMap<String, Rows> = observe(self.model, &first, self.calibration, self.progress)?;
            let mut after: BTreeMap<String, Rows> = observe(&quantized, &first, self.calibration, self.progress)?;
            self.progress.count("rounding each layer's weights", stage.len());
            let mut moments = Vec::new();
            for (group, first) in stage.iter().zip(&first) {
                let (before, after) = before.remove(first).zip(after.remove(first)).context("a layer was never run")?;
                let width = linear(self.model, first)?.inputs();
                let found = Moments::between(&before.0, &after.0, width).map_err(|reason| anyhow!("{first}: {reason}"));
                moments.push((group, found?));
            }
            let &Self { model, factors, progress, .. } = self;
            let rounded: Vec<_> = parallel::map(&moments, |(group, moments)| {
                let rounded = |layer: &String| Ok((layer.clone(), rounded(model, layer, factors.get(layer), moments)?));
                let rounded = group.iter().map(rounded).collect::<Result<Vec<_>>>();
                progress.advance();
                rounded
            })?;
            quantized = with_linears(&quantized, rounded.into_iter().flatten().collect())?;
        }
        Ok(quantized)
    }

    /// The layers rounded, each as if it were the only one.
    ///
    /// # Errors
    /// As [`in_stages`](Self::in_stages).
    pub(super) fn at_once(&self) -> Result<BTreeMap<String, Linear>> {
        let moments: BTreeMap<String, Moments> = observe(self.model, self.layers, self.calibration, self.progress)?;
        self.progress.count("rounding each layer's weights", self.layers.len());
        let &Self { model, factors, progress, .. } = self;
        parallel::map(self.layers, |layer| {
            let moments = moments.get(layer).with_context(|| format!("{layer} was never run"))?;
            let rounded = rounded(model, layer, factors.get(layer), moments)?;
            progress.advance();
            Ok((layer.clone(), rounded))
        })
    }
}

/// A layer rounded for inputs with these moments, which are multiplied with its factors first.
fn rounded(model: &TypedModel, layer: &str, factors: Option<&Vec<f32>>, moments: &Moments) -> Result<Linear> {
    let linear = linear(model, layer)?;
    let mut weight = linear.dense();
    let said = |reason: String| anyhow!("{layer}: {reason}");
    let layer = |weight: &[f32], moments: &Moments| -> Result<Linear, String> {
        let blocks = q4::rounded(weight, linear.outputs(), linear.inputs(), moments)?;
        Ok(Linear::from_q4(&blocks, Some(linear.bias()))?.like(linear))
    };
    let Some(factors) = factors else { return layer(&weight, moments).map_err(said) };
    divide(&mut weight, factors);
    layer(&weight, &moments.multiplied(factors)).and_then(|layer| layer.with_factors(factors)).map_err(said)
}

/// Divides each input's weights by its factor.
pub(super) fn divide(weight: &mut [f32], factors: &[f32]) {
    weight.iter_mut().zip(factors.iter().cycle()).for_each(|(weight, factor)| *weight /= factor);
}

/// The linear layer that has this name.
///
/// # Errors
/// A name that no linear layer has.
pub(super) fn linear<'a>(model: &'a TypedModel, layer: &str) -> Result<&'a Linear> {
    let node = model.node_by_name(layer).map_err(|error| anyhow!("{error:#}"))?;
    node.op_as::<Linear>().with_context(|| format!("{layer} is no linear layer"))
}
