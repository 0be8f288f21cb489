//! 32 secret bytes, and how they are written down: no message and no log ever has them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

/// Why a text is no key. The text itself is not told: it may be one after all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum KeyError {
    #[error("expected one line {prefix}BASE64 with the base64 of 32 bytes")]
    Malformed { prefix: &'static str },
    #[error("it is a key of another kind: expected one that begins with {prefix}")]
    OtherKind { prefix: &'static str },
    #[error("this system gives no random numbers")]
    Random,
}

/// 32 bytes that are overwritten when they are not needed any more.
#[derive(Clone)]
pub(super) struct Secret(Zeroizing<[u8; 32]>);

/// What the lines of the files of keys begin with.
const PREFIXES: [&str; 2] = [Secret::SIGNING, Secret::PACKAGE];

impl Secret {
    pub(super) const SIGNING: &str = "EMBER-SIGNING-KEY:";
    pub(super) const PACKAGE: &str = "EMBER-PACKAGE-KEY:";

    pub(super) fn random() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(&mut *bytes).map_err(|_| KeyError::Random)?;
        Ok(Self(bytes))
    }

    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// Reads what [`Secret::to_text`] writes; comments, which begin with `#`, and the prefix may be missing.
    pub(super) fn parse(text: &str, prefix: &'static str) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed { prefix };
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (Some(line), None) = (lines.next(), lines.next()) else { return Err(malformed()) };
        let base64 = match line.strip_prefix(prefix) {
            Some(base64) => base64,
            None if PREFIXES.iter().any(|other| line.starts_with(other)) => return Err(KeyError::OtherKind { prefix }),
            None => line,
        };
        let bytes = Zeroizing::new(STANDARD.decode(base64.trim()).map_err(|_| malformed())?);
        Self::from_slice(&bytes).ok_or_else(malformed)
    }

    pub(super) fn to_text(&self, prefix: &'static str) -> Zeroizing<String> {
        let base64 = Zeroizing::new(STANDARD.encode(*self.0));
        Zeroizing::new(format!("{prefix}{}\n", *base64))
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_reads_back_as_it_was_written_with_or_without_what_is_around_it() {
        let secret = Secret::random().unwrap();
        let text = secret.to_text(Secret::PACKAGE);
        let bare = text.trim().strip_prefix(Secret::PACKAGE).unwrap();
        for text in [text.as_str(), bare, &format!("# keep it\n\n  {}", *text)] {
            assert_eq!(Secret::parse(text, Secret::PACKAGE).unwrap().bytes(), secret.bytes());
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_told() {
        let other = Secret::random().unwrap().to_text(Secret::SIGNING);
        let error = Secret::parse(&other, Secret::PACKAGE).unwrap_err();
        assert_eq!(error, KeyError::OtherKind { prefix: Secret::PACKAGE });
        for text in ["", "# nothing", "c2hvcnQ=", "not base64!", "YQ==\nYg==", &"A".repeat(4000)] {
            let error = Secret::parse(text, Secret::PACKAGE).unwrap_err().to_string();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_secret_is_not_told_by_debug() {
        assert_eq!(format!("{:?}", Secret::random().unwrap()), "Secret(…)");
    }
}
