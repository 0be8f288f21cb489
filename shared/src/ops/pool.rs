//! `emberlite_pool`: the vectors of a text's tokens become one.

use serde::{Deserialize, Serialize};

/// How the vectors of a text's tokens become one. Padding never counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The first token's.
    Cls,
    /// Their mean.
    Mean,
    /// The greatest of each component.
    Max,
    /// Their sum over the square root of their number.
    MeanSqrt,
    /// The last token's.
    LastToken,
}
