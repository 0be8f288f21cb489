//! Why a folder of a text model can't be imported.

use std::path::PathBuf;

/// What is wrong with a folder, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum FolderError {
    #[error("`{}` has no {file}: {remedy}", folder.display())]
    Missing { folder: PathBuf, file: String, remedy: &'static str },
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("`{}` is broken: {reason}", path.display())]
    Broken { path: PathBuf, reason: String },
    #[error("`{}` says {field} = {got}, which is not supported; expected {expected}", path.display())]
    Unsupported { path: PathBuf, field: String, got: String, expected: String },
    #[error(
        "`{}` is of the architecture {got}; those built from their weights are {expected}. \
         Export the model to ONNX (`optimum-cli export onnx --model FOLDER OUT`) and pack that",
        path.display()
    )]
    UnknownArchitecture { path: PathBuf, got: String, expected: String },
    #[error("the weights have no tensor `{name}`")]
    MissingTensor { name: String },
    #[error("the tensor `{name}` is {got}, which is not supported; expected F32, F16 or BF16")]
    TensorType { name: String, got: String },
    #[error("the tensor `{name}` has the shape {got:?}; expected {expected:?}")]
    TensorShape { name: String, expected: Vec<usize>, got: Vec<usize> },
    #[error("`{node}` can't be built: {reason}")]
    Node { node: String, reason: String },
}
