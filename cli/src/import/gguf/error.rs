//! Why a GGUF file can't be imported.

use std::path::PathBuf;

/// What is wrong with a GGUF file.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum GgufError {
    #[error("`{}` is no GGUF file, or a broken one: {reason}", path.display())]
    Broken { path: PathBuf, reason: String },
    #[error("`{}` says {key} = {got}, which is not supported; expected {expected}", path.display())]
    Unsupported { path: PathBuf, key: String, got: String, expected: String },
}
