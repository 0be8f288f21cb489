//! A model file in, a tract model out, whatever the format of the file.

mod causal;
mod folder;
mod gguf;
mod names;
mod onnx;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use emberlite::model::{GenerateSpec, Task, TextSpec};
use emberlite::ops::Q4Blocks;
use tract_core::prelude::TypedModel;

pub use folder::FolderError;
pub use gguf::GgufError;
pub use names::spelled;

/// A model as it was in its file, ready to be rewritten and packed.
#[derive(Debug)]
pub struct Imported {
    /// The decluttered graph. Inputs and outputs carry the names that the file gives them: an input in its node's
    /// name, an output in its outlet's label; that of a model of texts is `embedding` or `logits`. Every other name is made of ASCII letters, digits and `_`.
    pub model: TypedModel,
    /// The symbol on the first axis of every input whose first axis the file leaves open: `N`, unless the file has
    /// a tensor of that name. Absent when no input's first axis is open.
    pub batch: Option<String>,
    /// What the classifier calls its classes, by class id; empty when the file does not tell.
    pub labels: Vec<String>,
    /// By input of strings: the words that the model knows there, in its order. An input that takes any word, or is
    /// none of strings, is not listed. Another word may be an error.
    pub words: BTreeMap<String, Vec<String>>,
    /// What the model is for, when the file or its folder tells.
    pub task: Option<Task>,
    /// How texts become the graph's inputs, for a model of texts with its tokenizer.
    pub text: Option<TextSpec>,
    /// How a language model is used; its graph's input is `tokens`, its output `logits`.
    pub generate: Option<GenerateSpec>,
    /// Layers whose weights the source has in blocks of 4 bits, by the names of their nodes.
    pub q4: BTreeMap<String, Q4Blocks>,
    /// The bytes of `tokenizer.json`; present exactly where [`text`](Self::text) or [`generate`](Self::generate) is.
    pub tokenizer: Option<Vec<u8>>,
    /// Where the model came from.
    pub source: Source,
    /// What the user should know, one sentence each.
    pub warnings: Vec<String>,
}

/// Where a model came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The format of the weights: `onnx`, `gguf`, or `safetensors` for a folder.
    pub format: &'static str,
    /// The program that wrote the file, with its version, if the file tells.
    pub producer: Option<String>,
    /// The version of the default operator set, for an ONNX file.
    pub opset: Option<i64>,
    /// The files that graph and weights were read from, always in the same order.
    pub files: Vec<PathBuf>,
}

/// An operator that has no counterpart here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingOperator {
    /// The operator's name in its file format, with its domain unless that is a standard one: `com.acme.Frobnicate`.
    pub operator: String,
    /// The node that uses it.
    pub node: String,
}

impl fmt::Display for MissingOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (node `{}`)", self.operator, self.node)
    }
}

/// Why a file could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file could not be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The format is known, but there is no importer for it.
    #[error(
        "`{}` is {format}, which is not supported yet; expected an ONNX file, a GGUF file or a Hugging Face folder",
        path.display()
    )]
    UnsupportedFormat {
        /// The file or folder.
        path: PathBuf,
        /// What it is, with its article.
        format: &'static str,
    },
    /// The file is none that is known, or a broken one.
    #[error("`{}` is not an ONNX file: {reason}. Expected an ONNX file, a GGUF file or a Hugging Face folder", path.display())]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The graph uses operators that have no counterpart here.
    #[error(
        "operators that are not supported: {}. Export the model without the step that uses them, or in another opset",
        join(operators)
    )]
    MissingOperators {
        /// Every one of them, in the order of the file.
        operators: Vec<MissingOperator>,
    },
    /// An input's shape is open on another axis than the first, and neither a name nor the graph settles it.
    #[error("input `{input}` leaves axis {axis} of its shape open; export it with a size or a name there")]
    OpenAxis {
        /// The input.
        input: String,
        /// The axis, from 0.
        axis: usize,
    },
    /// A folder that transformers or sentence-transformers saved, or something in it.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A GGUF file, or something in it.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// The graph cannot be understood.
    #[error("{reason}")]
    Refused {
        /// What is wrong with it, outermost first.
        reason: String,
    },
}

fn join(operators: &[MissingOperator]) -> String {
    operators.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Imports the model at `path`: an ONNX file, a GGUF file, or a folder that transformers or sentence-transformers saved.
///
/// An ONNX file of a text model brings the tokenizer, the pooling and the labels that lie beside it or one folder up.
///
/// # Errors
/// [`ImportError`] tells what is wrong with the file, or which of its operators are missing.
///
/// # Examples
/// ```no_run
/// let imported = emberlite_cli::import::import("credit.onnx".as_ref())?;
/// println!("{} from {:?}", imported.model, imported.source.producer);
/// # Ok::<(), emberlite_cli::import::ImportError>(())
/// ```
pub fn import(path: &Path) -> Result<Imported, ImportError> {
    let unsupported = |format| Err(ImportError::UnsupportedFormat { path: path.to_owned(), format });
    let unreadable = |source| ImportError::Unreadable { path: path.to_owned(), source };
    if fs::metadata(path).map_err(unreadable)?.is_dir() {
        return folder::import(path);
    }
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("").to_ascii_lowercase();
    match extension.as_str() {
        "tflite" => return unsupported("a TFLite file"),
        "pb" => return unsupported("a TensorFlow graph"),
        "nnef" | "tgz" | "tar" => return unsupported("an NNEF archive"),
        "safetensors" => return unsupported("a file of weights without a graph"),
        "gguf" => return gguf::import(path),
        _ => {}
    }
    import_onnx(path)
}

/// Imports an ONNX file, and what lies beside it if it takes tokens.
fn import_onnx(path: &Path) -> Result<Imported, ImportError> {
    let bytes = fs::read(path).map_err(|source| ImportError::Unreadable { path: path.to_owned(), source })?;
    if bytes.get(4..8) == Some(b"TFL3") {
        return Err(ImportError::UnsupportedFormat { path: path.to_owned(), format: "a TFLite file" });
    }
    folder::attach(onnx::import(path, &bytes)?, path)
}
