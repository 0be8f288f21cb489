//! The name of a model: a path segment in the store and in URLs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A model's name: 1 to 64 characters of `a-z 0-9 . _ -`, the first a letter or a digit.
///
/// The alphabet keeps a name safe as a path segment in a URL, an object key and a file name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName(String);

/// A text that is no model name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a model name: expected 1 to 64 characters of a-z, 0-9, '.', '_' and '-', the first a letter or a digit"
)]
pub struct NameError(String);

impl ModelName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ModelName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let valid = (1..=64).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b));
        if valid { Ok(Self(text.to_owned())) } else { Err(NameError(text.to_owned())) }
    }
}

impl TryFrom<String> for ModelName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_folder_are_refused() {
        for text in ["", ".", "..", "../x", "a/b", "A", "a b", "-a", "é", &"a".repeat(65)] {
            assert!(text.parse::<ModelName>().is_err(), "{text:?}");
        }
        for text in ["a", "0", "all-minilm-l6.v2", "x_1"] {
            assert_eq!(text.parse::<ModelName>().unwrap().as_str(), text);
        }
    }
}
