//! The manifest: everything a package says about its model in words and numbers, as JSON.

mod generate;
mod pruning;
mod quantization;
mod text;
mod vocabulary;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use generate::{GenerateSpec, Perplexity, SamplingDefaults};
pub use pruning::Pruning;
pub use quantization::{Agreement, Cosine, Quantization, QuantizedLayer};
pub use text::{Problem, TextSpec};
pub use vocabulary::Vocabulary;

use super::{Digest, Dtype, ModelName, Sparse};

/// The format of a package each of whose sections has all its elements.
pub const FORMAT: u32 = 1;
/// The format of a package with a section without its zeros, or a layer without its empty blocks; the newest this build
/// reads.
pub const NEWEST_FORMAT: u32 = 2;

/// What a package says about its model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the package format; a reader refuses one newer than [`NEWEST_FORMAT`].
    pub format: u32,
    /// The model's name in URLs and in the store.
    pub name: ModelName,
    /// What the model is for.
    pub task: Task,
    /// One plain sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The licence of the weights.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub licence: String,
    /// The inputs, in the graph's order.
    pub inputs: Vec<TensorSpec>,
    /// The outputs, in the graph's order.
    pub outputs: Vec<TensorSpec>,
    /// The classes: the index is the class id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The columns of a table model, in the order of a row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Feature>,
    /// How an image becomes a tensor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSpec>,
    /// How a text becomes tensors, and tensors an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextSpec>,
    /// How a language model generates texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<GenerateSpec>,
    /// What is left of the source's vocabulary, where it was trimmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<Vocabulary>,
    /// What was taken out of the model, step by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pruning: Vec<Pruning>,
    /// How the weights were quantized, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Quantization>,
    /// What the packer was asked to do with the model, in the packer's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Value>,
    /// Inputs to try the model with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
    /// The file the package was made from.
    pub source: Source,
    /// The program that packed it, with its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// How the package was checked against that file.
    pub verification: Verification,
    /// Every section of the file but padding, by its name.
    pub sections: BTreeMap<String, Section>,
}

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Tensors, tables and images in, scores out.
    Predict,
    /// Texts in, vectors out.
    Embed,
    /// Texts in, labels with their scores out.
    Classify,
    /// Pairs of a query and a text in, one score of relevance each out.
    Rerank,
    /// Prompts in, texts out.
    Generate,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Predict => "predict",
            Self::Embed => "embed",
            Self::Classify => "classify",
            Self::Rerank => "rerank",
            Self::Generate => "generate",
        })
    }
}

/// One input or output of the graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorSpec {
    /// The name it has in the source file.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its shape; a dimension that varies carries a name.
    pub shape: Vec<Dim>,
    /// What an output means; absent on inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// One dimension of a shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dim {
    /// Always this long.
    Fixed(usize),
    /// As long as the request makes it; equal names mean equal lengths.
    Symbol(String),
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Symbol(name) => f.write_str(name),
        }
    }
}

impl TensorSpec {
    /// The shape as text: `[N, 30]`.
    pub fn shape_text(&self) -> String {
        let dims: Vec<_> = self.shape.iter().map(Dim::to_string).collect();
        format!("[{}]", dims.join(", "))
    }

    /// Whether a tensor of this shape fits.
    pub fn accepts(&self, shape: &[usize]) -> bool {
        shape.len() == self.shape.len()
            && self.shape.iter().zip(shape).all(|(dim, &size)| match dim {
                Dim::Fixed(fixed) => *fixed == size,
                Dim::Symbol(_) => true,
            })
    }

    /// Whether the first dimension counts examples: it varies.
    pub fn is_batched(&self) -> bool {
        matches!(self.shape.first(), Some(Dim::Symbol(_)))
    }
}

/// What an output tensor means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// `[N]`: the predicted class, as its index or its text.
    Label,
    /// `[N, classes]`, or `[N, 1]` or `[N]` with the probability of the second of two classes.
    Probabilities,
    /// As [`Role::Probabilities`] before softmax, or before the logistic function where there is one number.
    Logits,
    /// Anything else: handed out as it is.
    Values,
}

/// One column of a table model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// What users call it.
    pub name: String,
    /// The input tensor it feeds; features of one tensor fill its columns in their order.
    #[serde(default)]
    pub input: String,
    /// Its unit of measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The categories it may take, each with its meaning.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub choices: BTreeMap<String, String>,
    /// The least value seen in training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// The greatest value seen in training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
}

/// How an image becomes a tensor: decode, convert to `colour`, invert if `background` says so, resize,
/// then `(pixel * scale - mean) / std` per channel, pixels from 0 to 255.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// The input tensor it feeds.
    pub input: String,
    /// Width in pixels after resizing.
    pub width: u32,
    /// Height in pixels after resizing.
    pub height: u32,
    /// The channels the model sees.
    pub colour: Channels,
    /// The order of the tensor's dimensions.
    #[serde(default)]
    pub layout: ImageLayout,
    /// The resizing filter.
    #[serde(default)]
    pub filter: Resize,
    /// The background the model was trained on; an image whose border is on the other side is inverted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<Background>,
    /// Multiplies a pixel of 0 to 255.
    pub scale: f32,
    /// Subtracted after scaling, per channel.
    #[serde(default)]
    pub mean: Vec<f32>,
    /// Divides last, per channel.
    #[serde(default)]
    pub std: Vec<f32>,
}

/// Colour channels of an image tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// One channel of luminance.
    Grey,
    /// Red, green, blue.
    Rgb,
}

impl Channels {
    /// How many there are.
    pub fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}

/// The order of an image tensor's dimensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageLayout {
    /// `[batch, channels, height, width]`.
    #[default]
    Nchw,
    /// `[batch, height, width, channels]`.
    Nhwc,
}

/// The resizing filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Resize {
    Nearest,
    #[default]
    Triangle,
    CatmullRom,
    Lanczos3,
}

/// The brightness of the background a model was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Background {
    Dark,
    Light,
}

/// An input to try the model with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What it shows.
    pub title: String,
    /// What goes into a request's `input`.
    pub input: Value,
}

/// The file or folder a package was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The name of the file, or of the folder.
    pub file: String,
    /// The format of the weights: `onnx` or `safetensors`.
    pub format: String,
    /// The program that wrote it, as the file tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<String>,
    /// The digest of the file; of several files' digests, one after the other.
    pub digest: Digest,
    /// Each of the files that graph and weights were read from, always in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<SourceFile>,
}

/// A file that a package was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its name; in a folder, its path there.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
}

/// How the packed graph was compared with the source graph before anything was quantized.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// The batch sizes both were run at.
    pub batch_sizes: Vec<usize>,
    /// For a model of texts: the lengths in tokens both were run at, rows of several lengths padded to the longest too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lengths: Vec<usize>,
    /// How many inputs were compared, random and given ones.
    pub inputs: usize,
    /// The largest difference of any output element.
    pub max_abs_difference: f64,
}

/// One section of the package file. The file's header follows from these alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// The type of its elements.
    pub dtype: safetensors::Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The digest of its bytes.
    pub digest: Digest,
    /// For a tensor of texts: its shape; the bytes are then a JSON list of its elements in row-major order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<Vec<usize>>,
    /// For a tensor that is stored without its zeros: its type and shape; the bytes are then a mask and the other elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sparse: Option<Sparse>,
}
