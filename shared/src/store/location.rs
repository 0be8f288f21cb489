//! Where a store is: a folder's path, or `s3://bucket/prefix`.

use std::fmt;
use std::path::PathBuf;

use super::Patience;

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket, and the prefix its keys share: empty, or ending in `/`.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// What every key starts with.
        prefix: String,
        /// How to reach it.
        settings: S3Settings,
    },
}

/// How to reach a store that speaks S3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// The endpoint, where it is not AWS's own.
    pub endpoint: Option<String>,
    /// Whether the bucket is in the path and not in the host name; by default with an endpoint of one's own.
    pub path_style: Option<bool>,
    /// How patiently it is read.
    pub patience: Patience,
}

/// A text that names no store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a store: expected {expected}")]
pub struct LocationError {
    text: String,
    expected: &'static str,
}

impl LocationError {
    pub(super) fn no_bucket(text: &str) -> Self {
        Self { text: text.to_owned(), expected: "s3://bucket/prefix" }
    }
}

impl Location {
    /// Reads a folder's path or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// An empty text, another scheme, or no bucket.
    pub fn parse(text: &str, settings: S3Settings) -> Result<Self, LocationError> {
        let expected = "a folder's path or s3://bucket/prefix";
        let error = || LocationError { text: text.to_owned(), expected };
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(error());
            }
            let prefix = prefix.trim_matches('/');
            let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
            return Ok(Self::S3 { bucket: bucket.to_owned(), prefix, settings });
        }
        let path = text.strip_prefix("file://").unwrap_or(text);
        if path.is_empty() || path.contains("://") {
            return Err(error());
        }
        Ok(Self::Folder(path.into()))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "folder {}", path.display()),
            Self::S3 { bucket, prefix, settings } => {
                write!(f, "s3://{bucket}/{}", prefix.trim_end_matches('/'))?;
                match &settings.endpoint {
                    Some(endpoint) => write!(f, " at {endpoint}"),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_and_its_prefix_are_told_apart() {
        for (text, expected) in [
            ("s3://ember", ("ember", "")),
            ("s3://ember/", ("ember", "")),
            ("s3://ember/a/b", ("ember", "a/b/")),
            ("s3://ember/a/b/", ("ember", "a/b/")),
        ] {
            let Ok(Location::S3 { bucket, prefix, .. }) = Location::parse(text, S3Settings::default()) else {
                panic!("{text} is an S3 store");
            };
            assert_eq!((bucket.as_str(), prefix.as_str()), expected);
        }
    }

    #[test]
    fn what_is_no_store_is_refused() {
        for text in ["", "s3://", "s3:///x", "gs://bucket", "https://host/x"] {
            assert!(Location::parse(text, S3Settings::default()).is_err(), "{text:?}");
        }
        assert_eq!(Location::parse("a/b", S3Settings::default()).unwrap(), Location::Folder("a/b".into()));
    }
}
