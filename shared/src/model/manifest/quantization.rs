//! What a package says about weights that were made smaller: how, and what it cost.

use serde::{Deserialize, Serialize};

use crate::ops::WeightFormat;

/// How the weights of a model were quantized, and what that cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantization {
    /// The format that was asked for.
    pub scheme: WeightFormat,
    /// How the weights were rounded, where the format does not tell: a scheme with its settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The text whose inputs of each layer the weights were rounded to fit; absent where each was rounded by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<String>,
    /// The layers that stay in a higher precision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// Every layer with weights, the greatest error first.
    pub layers: Vec<QuantizedLayer>,
    /// The quantized model against its source.
    pub agreement: Agreement,
}

/// A linear layer or an embedding, and the format its weights got.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantizedLayer {
    /// Its name in the graph.
    pub name: String,
    /// How its weights are written down.
    pub format: WeightFormat,
    /// What the model's outputs lose where this layer alone is quantized: the mean of 1 - cosine for vectors; for
    /// logits half the square of their relative error, which is alike where it is small. Absent where not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
}

/// How near the outputs of a quantized model are to those of its source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// How many texts both were run on; for a language model how many tokens were predicted.
    pub texts: usize,
    /// The instruction set they were run on: activations have 7 bits on `avx2`, 8 on others.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub isa: String,
    /// For vectors: their cosine to the source's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosine: Option<Cosine>,
    /// For a classifier: the part of the texts that get the same labels; for a language model: of the tokens in whose
    /// place the same one is the likeliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<f64>,
    /// The largest difference of any output element.
    pub max_abs_difference: f64,
}

/// Cosines of two models' vectors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cosine {
    /// Their mean.
    pub mean: f64,
    /// The least of them.
    pub least: f64,
}
