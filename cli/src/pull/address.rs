//! `hf://org/name@revision`: which repository of a hub, and which state of it.

use std::fmt;
use std::str::FromStr;

/// What addresses begin with.
const SCHEME: &str = "hf://";
/// The revision that is meant where none is named.
const MAIN: &str = "main";
/// The longest name of a hub's repository, and of a part of it.
const LONGEST: usize = 96;

/// A repository and its revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `org/name`; a few old repositories have no organisation.
    repository: String,
    /// A branch, a tag or a commit.
    revision: String,
}

impl Address {
    /// Whether a text is meant as one.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// `org/name`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The branch, tag or commit.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The repository's own name.
    pub fn name(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or(&self.repository)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected {SCHEME}ORG/NAME or {SCHEME}ORG/NAME@REVISION, got {text:?}");
        let rest = text.strip_prefix(SCHEME).ok_or_else(expected)?;
        let (repository, revision) = rest.split_once('@').unwrap_or((rest, MAIN));
        let parts: Vec<&str> = repository.split('/').collect();
        if parts.len() > 2 || !parts.iter().all(|part| is_name(part)) || !is_revision(revision) {
            return Err(expected());
        }
        Ok(Self { repository: repository.to_owned(), revision: revision.to_owned() })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.repository)?;
        if self.revision == MAIN { Ok(()) } else { write!(f, "@{}", self.revision) }
    }
}

fn is_name(part: &str) -> bool {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    (1..=LONGEST).contains(&part.len()) && part.chars().all(letter) && !part.starts_with('.') && !part.contains("..")
}

/// As Git has them, more or less: `refs/pr/1` is one.
fn is_revision(text: &str) -> bool {
    let letter = |letter: char| letter.is_ascii_graphic() && !"?*[\\^~:@#%".contains(letter);
    (1..=255).contains(&text.len()) && text.chars().all(letter) && !text.contains("..") && !text.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_repository_and_perhaps_a_revision() {
        let address: Address = "hf://sentence-transformers/all-MiniLM-L6-v2".parse().unwrap();
        assert_eq!((address.repository(), address.revision()), ("sentence-transformers/all-MiniLM-L6-v2", "main"));
        assert_eq!(address.name(), "all-MiniLM-L6-v2");
        assert_eq!(address.to_string(), "hf://sentence-transformers/all-MiniLM-L6-v2");
        let address: Address = "hf://gpt2@refs/pr/1".parse().unwrap();
        assert_eq!((address.repository(), address.revision(), address.name()), ("gpt2", "refs/pr/1", "gpt2"));
        assert_eq!(address.to_string(), "hf://gpt2@refs/pr/1");
    }

    #[test]
    fn what_is_none_is_refused_with_what_was_expected() {
        for text in
            ["org/name", "hf://", "hf://a/b/c", "hf://../x", "hf://a/..", "hf://a/b@", "hf://a/b@../c", "hf://a b"]
        {
            let refused = text.parse::<Address>().unwrap_err();
            assert!(refused.contains("hf://ORG/NAME") && refused.contains(text), "{refused}");
        }
    }
}
