//! The public keys whose signatures count, as `EMBER_TRUSTED_KEYS` and the `.pub` files of `emberlite keygen` have them.

use std::fmt;
use std::str::FromStr;

use super::signature::{PublicKey, SignatureError};

/// A public key, and what its owner calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// What it is called, where it has a name.
    pub name: Option<String>,
    /// The key.
    pub key: PublicKey,
}

impl FromStr for TrustedKey {
    type Err = SignatureError;

    /// Reads `NAME=KEY`, or a key alone.
    fn from_str(text: &str) -> Result<Self, SignatureError> {
        // Base64 ends in `=`, too: that is no name.
        if let Ok(key) = text.parse() {
            return Ok(Self { name: None, key });
        }
        let (name, key) = text.split_once('=').unwrap_or(("", text));
        let name = Some(name.trim()).filter(|name| !name.is_empty()).map(str::to_owned);
        Ok(Self { name, key: key.trim().parse()? })
    }
}

impl fmt::Display for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => self.key.fmt(f),
        }
    }
}

/// Keys separated by commas or line ends; lines that begin with `#` say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedKeys(pub Vec<TrustedKey>);

impl FromStr for TrustedKeys {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let keys = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|key| !key.is_empty());
        keys.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl TrustedKeys {
    /// The key as it is trusted, if it is.
    pub fn find(&self, key: &PublicKey) -> Option<&TrustedKey> {
        self.0.iter().find(|trusted| trusted.key == *key)
    }
}

impl fmt::Display for TrustedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    #[test]
    fn keys_have_names_or_none() {
        let keys: TrustedKeys = format!("# ours\nrelease={KEY}, {KEY}\n").parse().unwrap();
        let names: Vec<_> = keys.0.iter().map(|key| key.name.as_deref()).collect();
        assert_eq!(names, [Some("release"), None]);
        assert!(keys.0.iter().all(|key| key.key.to_string() == KEY));
        assert_eq!(keys.to_string(), format!("release, {KEY}"));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["release", "release=", "release=c2hvcnQ=", &KEY[..40], &format!("a={KEY},b")] {
            assert!(text.parse::<TrustedKeys>().is_err(), "{text:?}");
        }
        assert_eq!(" , \n".parse::<TrustedKeys>().unwrap(), TrustedKeys::default());
    }
}
