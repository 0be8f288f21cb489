//! The ways to write weights down that a user can choose from, and what can be said of each.

use anyhow::{Result, ensure};
use clap::ValueEnum;
use emberlite::ops::WeightFormat;
use serde::Deserialize;

use super::Smooth;
use crate::recipe::QuantizeSettings;

/// How weights are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// As they are in the source, in single precision
    None,
    /// Whole numbers with a scale for each output; activations are quantized on the fly, each token over its own range
    Int8,
    /// The same, but the activations of each layer over one range, found on the texts to calibrate with (see --range)
    Int8Static,
    /// Half precision
    F16,
    /// bfloat16, and half precision for embeddings
    Bf16,
    /// Four bits with a scale for each 32 inputs, as llama.cpp's Q4_0, each rounded to nearest; int8 for embeddings and
    /// logits
    Q4,
    /// Four bits, weights that meet great activations made greater before they are rounded to nearest (AWQ)
    Q4Awq,
    /// Four bits, each layer rounded to fit what its inputs are like on the texts to calibrate with (GPTQ, layer after
    /// layer)
    Q4Calibrated,
    /// For each layer the smallest of q4-calibrated, int8 and f16 with which the whole model loses no more than --budget
    Auto,
}

impl Scheme {
    /// The format it gives to weights, the smallest if there are several; `None` where it leaves them alone.
    pub fn format(self) -> Option<WeightFormat> {
        match self {
            Self::None => None,
            Self::Int8 | Self::Int8Static => Some(WeightFormat::Int8),
            Self::F16 => Some(WeightFormat::F16),
            Self::Bf16 => Some(WeightFormat::Bf16),
            Self::Q4 | Self::Q4Awq | Self::Q4Calibrated | Self::Auto => Some(WeightFormat::Q4),
        }
    }

    /// Whether weights of 4 bits are rounded with regard to what the layers' inputs are like.
    pub(super) fn is_fitted(self) -> bool {
        matches!(self, Self::Q4Calibrated | Self::Auto)
    }

    /// How inputs are smoothed where nothing is said.
    pub(super) fn smooth(self) -> Smooth {
        if self == Self::Q4Awq { Smooth::Searched } else { Smooth::Off }
    }

    /// Refuses what does not go together with it.
    ///
    /// # Errors
    /// A setting that is for another scheme.
    pub(super) fn check(self, settings: &QuantizeSettings) -> Result<()> {
        ensure!(
            settings.range.is_none() || self == Self::Int8Static,
            "a range is for activations that are quantized over a fixed one: choose the scheme int8-static"
        );
        let rounds = matches!(self.format(), Some(WeightFormat::Int8 | WeightFormat::Q4));
        ensure!(
            rounds || settings.smooth.is_none_or(|smooth| smooth == Smooth::Off),
            "smoothing is for whole numbers: choose a scheme in int8 or in 4 bits"
        );
        ensure!(
            settings.smooth != Some(Smooth::Off) || self != Self::Q4Awq,
            "q4-awq without smoothing is q4: choose that"
        );
        ensure!(
            settings.budget.is_none() || self == Self::Auto,
            "a budget is for the scheme auto, which chooses formats by what they cost"
        );
        ensure!(
            settings.budget.is_none_or(|budget| budget >= 0.0 && budget.is_finite()),
            "a budget is a loss of 0 or more, such as 0.01: got {}",
            settings.budget.unwrap_or_default()
        );
        ensure!(
            self != Self::Auto || !settings.keep.iter().any(|pattern| pattern == "auto"),
            "the scheme auto keeps layers by itself: leave out keep auto, or name layers"
        );
        Ok(())
    }
}
