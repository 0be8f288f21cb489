//! The token that opens private and gated repositories. It is shown nowhere.

use std::env;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// The variable that holds it, as for the hub's own tools.
pub(super) const VARIABLE: &str = "HF_TOKEN";

/// A token, and where it is from.
#[derive(Clone)]
pub(super) struct Token {
    secret: String,
    origin: String,
}

impl Token {
    /// The token in a file, else in the environment; none where neither has one.
    ///
    /// # Errors
    /// A file that can't be read, or what can be no token.
    pub(super) fn find(file: Option<&Path>) -> Result<Option<Self>> {
        let (text, origin) = match file {
            Some(file) => {
                let origin = file.display().to_string();
                (fs::read_to_string(file).with_context(|| format!("can't read the token in {origin}"))?, origin)
            }
            None => (env::var(VARIABLE).unwrap_or_default(), VARIABLE.to_owned()),
        };
        let secret = text.trim();
        if secret.is_empty() {
            ensure!(file.is_none(), "there is no token in {origin}: it is empty");
            return Ok(None);
        }
        // The text itself stays untold, even if it is no token.
        ensure!(
            secret.bytes().all(|letter| letter.is_ascii_graphic()),
            "what is in {origin} is no token: expected one word of letters, digits and signs"
        );
        Ok(Some(Self { secret: secret.to_owned(), origin }))
    }

    /// Where it is from.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// The header of a request.
    pub(super) fn authorization(&self) -> String {
        format!("Bearer {}", self.secret)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token from {}", self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_its_file_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, "hf_secret\n").unwrap();
        let token = Token::find(Some(&file)).unwrap().unwrap();
        assert_eq!(token.authorization(), "Bearer hf_secret");
        assert!(!format!("{token:?}").contains("secret"));
        for wrong in ["", " \n", "two words", "hf_sécret"] {
            fs::write(&file, wrong).unwrap();
            let refused = format!("{:#}", Token::find(Some(&file)).unwrap_err());
            assert!(refused.contains("token") && !refused.contains("cret"), "{refused}");
        }
        assert!(Token::find(Some(&folder.path().join("nosuch"))).is_err());
    }
}
