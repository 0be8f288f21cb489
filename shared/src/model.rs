//! Models: the package they travel in, and the cell that loads each of them once.

mod buffer;
mod cell;
mod digest;
mod dtype;
mod hashed;
mod layout;
mod loaded;
mod manifest;
mod name;
mod only;
mod package;
mod set;
mod sparse;

pub use buffer::PackageBytes;
pub(crate) use buffer::{LINE, aligned};
pub use cell::LoadError;
pub use digest::{Digest, DigestError};
pub use dtype::Dtype;
pub use hashed::{Hashed, PartSize, PartSizeError};
pub(crate) use hashed::{Part, allocate, assemble};
pub use layout::{Entry, LayoutError, write as write_package};
pub use loaded::{Model, ModelError};
pub use manifest::{
    Agreement, Background, Channels, Cosine, Dim, Example, FORMAT, Feature, GenerateSpec, ImageLayout, ImageSpec,
    Manifest, NEWEST_FORMAT, Perplexity, Problem, Pruning, Quantization, QuantizedLayer, Resize, Role,
    SamplingDefaults, Section, Source, SourceFile, Task, TensorSpec, TextSpec, Verification, Vocabulary,
};
pub use name::{ModelName, NameError};
pub use package::{Package, PackageError};
pub use set::{ModelStatus, Models};
pub use sparse::Sparse;
