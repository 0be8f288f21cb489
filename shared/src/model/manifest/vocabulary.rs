//! What a package says about a vocabulary that was trimmed.

use serde::{Deserialize, Serialize};

/// Which part of the source's vocabulary is left. Texts that need none of the removed tokens get the same outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    /// How many tokens there are.
    pub tokens: usize,
    /// How many the source has.
    pub of: usize,
    /// How many texts told which tokens are needed.
    pub texts: usize,
}
