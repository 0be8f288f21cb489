//! Factors between a layer's inputs and its weights, so that rounding either costs less.
//!
//! Inputs are divided by numbers that their weights are multiplied with, which changes nothing but the rounding. For int8
//! they take outliers from the activations into the weights (SmoothQuant, Xiao et al. 2022); for 4 bits they make the
//! weights that meet great activations great, so that they lose less (AWQ, Lin et al. 2023).

mod absorb;

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::{Result, anyhow};
use emberlite::ops::{Linear, Range, WeightFormat};
use serde::Deserialize;
use tract_core::prelude::TypedModel;

pub(super) use absorb::absorb;

use super::gptq::{divide, linear};
use super::groups::groups;
use super::layer_loss::layer_loss;
use super::observe::multiplied;
use super::statistics::Statistics;
use super::ties::Ties;
use super::{observe, parallel};
use crate::calibrate::Calibration;
use crate::progress::Progress;

/// The exponents that are tried, in tenths.
const EXPONENTS: std::ops::RangeInclusive<u8> = 1..=9;
/// No input is divided by more than this, nor by less than its inverse.
const FARTHEST: f32 = 1e3;

/// Whether and how far inputs are divided: `true`, `false`, or the exponent.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Given")]
pub enum Smooth {
    /// Not at all.
    Off,
    /// By the exponent that each layer's outputs are nearest with, or not at all where they are nearest so.
    Searched,
    /// By this exponent, from 0 to 1.
    Exponent(f32),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Switch(bool),
    Number(f32),
}

impl TryFrom<Given> for Smooth {
    type Error = String;

    fn try_from(given: Given) -> Result<Self, String> {
        match given {
            Given::Switch(true) => Ok(Self::Searched),
            Given::Switch(false) => Ok(Self::Off),
            Given::Number(number) if (0.0..=1.0).contains(&number) => Ok(Self::Exponent(number)),
            Given::Number(number) => Err(format!("expected an exponent from 0 to 1, got {number}")),
        }
    }
}

impl FromStr for Smooth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let given = match (text, text.parse()) {
            ("true", _) => Given::Switch(true),
            ("false", _) => Given::Switch(false),
            (_, Ok(number)) => Given::Number(number),
            _ => return Err(format!("expected true, false or an exponent from 0 to 1, got {text:?}")),
        };
        given.try_into()
    }
}

/// What is smoothed, and how its layers are rounded after.
pub(super) struct Smoothing<'a> {
    pub(super) model: &'a TypedModel,
    /// The formats that layers will have.
    pub(super) formats: &'a BTreeMap<String, WeightFormat>,
    pub(super) smooth: Smooth,
    /// Whether int8's inputs are quantized over a fixed range.
    pub(super) fixed: bool,
}

impl Smoothing<'_> {
    /// What the inputs of layers are to be multiplied with, for those that gain by it. Layers that read the same inputs
    /// have the same factors.
    ///
    /// # Errors
    /// A model that fails.
    pub(super) fn factors(
        &self,
        calibration: &dyn Calibration,
        progress: &Progress,
    ) -> Result<BTreeMap<String, Vec<f32>>> {
        if self.smooth == Smooth::Off {
            return Ok(BTreeMap::new());
        }
        let ties = Ties::of(self.model);
        let fits = |(layer, format): &(&String, &WeightFormat)| {
            matches!(format, WeightFormat::Int8 | WeightFormat::Q4)
                && linear(self.model, layer).is_ok()
                && !ties.has_layer(layer)
        };
        let layers: Vec<String> = self.formats.iter().filter(fits).map(|(layer, _)| layer.clone()).collect();
        let groups = groups(self.model, &layers)?;
        let first: Vec<String> = groups.iter().filter_map(|group| group.first().cloned()).collect();
        let seen: BTreeMap<String, Statistics> = observe(self.model, &first, calibration, progress)?;
        progress.count("smoothing each layer's inputs", groups.len());
        let found: Vec<Option<Vec<f32>>> = parallel::map(&groups, |group| {
            let seen = group.first().and_then(|first| seen.get(first));
            let factors = seen.map_or(Ok(None), |seen| self.of_group(group, seen));
            progress.advance();
            factors
        })?;
        let named = groups.into_iter().zip(found).filter_map(|(group, factors)| Some((group, factors?)));
        Ok(named.flat_map(|(group, factors)| group.into_iter().map(move |layer| (layer, factors.clone()))).collect())
    }

    fn of_group(&self, group: &[String], seen: &Statistics) -> Result<Option<Vec<f32>>> {
        let layers = group.iter().map(|layer| Ok((linear(self.model, layer)?, self.formats[layer])));
        let layers: Vec<(&Linear, WeightFormat)> = layers.collect::<Result<_>>()?;
        let candidate = |exponent: f32| candidate(&layers, seen, exponent);
        if let Smooth::Exponent(exponent) = self.smooth {
            return Ok(Some(candidate(exponent)));
        }
        let samples = seen.samples();
        let plain: Vec<f32> = vec![1.0; seen.width()];
        let mut best = (self.error(&layers, samples, &plain)?, None);
        for tenths in EXPONENTS {
            let factors = candidate(f32::from(tenths) / 10.0);
            let error = self.error(&layers, samples, &factors)?;
            if error < best.0 {
                best = (error, Some(factors));
            }
        }
        Ok(best.1)
    }

    /// How far the outputs of layers are from what they were, with factors.
    fn error(&self, layers: &[(&Linear, WeightFormat)], samples: &[f32], factors: &[f32]) -> Result<f64> {
        let mut sum = 0.0;
        for (linear, format) in layers {
            let failed = |reason: String| anyhow!("smoothing failed: {reason}");
            let weights = Linear::new(&linear.dense(), linear.outputs(), linear.inputs(), None).map_err(failed)?;
            let mut rounded = smoothed(&weights, factors, *format).map_err(failed)?;
            if self.fixed && *format == WeightFormat::Int8 {
                let inputs = multiplied(samples, factors);
                let ends = inputs.iter().fold((0f32, 0f32), |(low, high), x| (low.min(*x), high.max(*x)));
                let range = Range::new(ends.0, ends.1).or_else(|_| Range::new(-1.0, 1.0)).map_err(failed)?;
                rounded = rounded.with_range(range).map_err(failed)?;
            }
            let (expected, got) = (weights.apply(samples), rounded.apply(samples));
            sum += layer_loss(&expected, &got, linear.outputs());
        }
        Ok(sum)
    }
}

/// The layer in a format, its inputs multiplied with factors and its weights divided by them before they are rounded.
///
/// # Errors
/// A format that has no factors.
pub(super) fn smoothed(linear: &Linear, factors: &[f32], format: WeightFormat) -> Result<Linear, String> {
    let mut weight = linear.dense();
    divide(&mut weight, factors);
    let divided = Linear::new(&weight, linear.outputs(), linear.inputs(), Some(linear.bias()))?;
    Ok(divided.with_format(format)?.with_factors(factors)?.like(linear))
}

/// What inputs are multiplied with for an exponent: what is great in one input's activations becomes great in its weights.
fn candidate(layers: &[(&Linear, WeightFormat)], seen: &Statistics, exponent: f32) -> Vec<f32> {
    let divisors: Vec<f32> = if layers.iter().any(|(_, format)| *format == WeightFormat::Q4) {
        seen.means().iter().map(|mean| mean.powf(exponent)).collect()
    } else {
        let mut greatest = vec![0f32; seen.width()];
        for (linear, _) in layers {
            for row in linear.dense().chunks_exact(greatest.len()) {
                greatest.iter_mut().zip(row).for_each(|(greatest, weight)| *greatest = greatest.max(weight.abs()));
            }
        }
        let pairs = seen.greatest().iter().zip(greatest);
        pairs.map(|(input, weight)| input.powf(exponent) / weight.powf(1.0 - exponent)).collect()
    };
    let usable = |divisor: &f32| divisor.is_normal() && *divisor > 0.0;
    let logarithms: Vec<f32> = divisors.iter().filter(|divisor| usable(divisor)).map(|divisor| divisor.ln()).collect();
    let middle = (logarithms.iter().sum::<f32>() / logarithms.len().max(1) as f32).exp();
    let factor = |divisor: &f32| if usable(divisor) { (middle / divisor).clamp(1.0 / FARTHEST, FARTHEST) } else { 1.0 };
    divisors.iter().map(factor).collect()
}

#[cfg(test)]
mod tests {
    use super::super::observe::Notes;
    use super::*;

    /// Inputs of which two are far greater than the others, and a layer over them.
    fn layer() -> (Statistics, Linear) {
        let (inputs, outputs) = (64, 24);
        let mut random = fastrand::Rng::with_seed(8);
        let mut normal = move || (0..6).map(|_| random.f32() - 0.5).sum::<f32>();
        let mut seen = Statistics::new(inputs);
        let rows: Vec<f32> =
            (0..300 * inputs).map(|at| normal() * if at % inputs % 40 == 3 { 60.0 } else { 1.0 }).collect();
        seen.add(&rows);
        let weight: Vec<f32> = (0..inputs * outputs).map(|_| normal()).collect();
        (seen, Linear::new(&weight, outputs, inputs, None).unwrap())
    }

    #[test]
    fn outliers_cost_less_when_they_are_divided() {
        let (seen, linear) = layer();
        let samples = seen.samples();
        let expected = linear.apply(samples);
        let error = |factors: &[f32], format| -> f32 {
            let got = smoothed(&linear, factors, format).unwrap().apply(samples);
            expected.iter().zip(&got).map(|(a, b)| (a - b).powi(2)).sum()
        };
        for format in [WeightFormat::Int8, WeightFormat::Q4] {
            let factors = candidate(&[(&linear, format)], &seen, 0.5);
            let (plain, smooth) = (error(&[1.0; 64], format), error(&factors, format));
            assert!(smooth < 0.7 * plain, "{format:?}: {smooth} {plain}");
        }
    }

    #[test]
    fn factors_change_nothing_but_the_rounding() {
        let (seen, linear) = layer();
        let factors = candidate(&[(&linear, WeightFormat::Int8)], &seen, 0.5);
        let mut weight = linear.dense();
        divide(&mut weight, &factors);
        let divided = Linear::new(&weight, linear.outputs(), linear.inputs(), None).unwrap();
        let got = divided.apply(&multiplied(seen.samples(), &factors));
        for (got, expected) in got.iter().zip(linear.apply(seen.samples())) {
            assert!((got - expected).abs() < 1e-4 * expected.abs().max(1.0), "{got} {expected}");
        }
    }

    #[test]
    fn a_switch_or_an_exponent_is_read() {
        assert_eq!("true".parse(), Ok(Smooth::Searched));
        assert_eq!("0.5".parse(), Ok(Smooth::Exponent(0.5)));
        assert!("2".parse::<Smooth>().is_err() && "much".parse::<Smooth>().is_err());
    }
}
