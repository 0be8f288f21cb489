//! The ways to write weights down that a user can choose from.

use clap::ValueEnum;
use emberlite::ops::WeightFormat;
use serde::Deserialize;

/// How weights are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// As they are in the source, in single precision
    None,
    /// Whole numbers with a scale for each output; activations are quantized on the fly
    Int8,
    /// Half precision
    F16,
    /// bfloat16, and half precision for embeddings
    Bf16,
    /// Four bits with a scale for each 32 inputs, as llama.cpp's Q4_0; int8 for embeddings and logits
    Q4,
    /// The same, each layer rounded to fit what its inputs are like on the texts to calibrate with
    Q4Calibrated,
}

impl Scheme {
    /// The format it gives to weights; `None` where it leaves them alone.
    pub fn format(self) -> Option<WeightFormat> {
        match self {
            Self::None => None,
            Self::Int8 => Some(WeightFormat::Int8),
            Self::F16 => Some(WeightFormat::F16),
            Self::Bf16 => Some(WeightFormat::Bf16),
            Self::Q4 | Self::Q4Calibrated => Some(WeightFormat::Q4),
        }
    }

    /// Whether weights are rounded with regard to what the layers' inputs are like.
    pub fn is_calibrated(self) -> bool {
        matches!(self, Self::Q4Calibrated)
    }
}
