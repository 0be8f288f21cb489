//! Objects of a bucket that are no packages: what models are given to read, and what comes of it.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use super::s3::S3Store;
use super::{Location, LocationError, S3Settings, StoreError};

/// The objects below a prefix of a bucket, `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketLocation {
    bucket: String,
    /// Empty, or ending in `/`.
    prefix: String,
}

impl FromStr for BucketLocation {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        match Location::parse(text, S3Settings::default())? {
            Location::S3 { bucket, prefix, .. } => Ok(Self { bucket, prefix }),
            Location::Folder(_) => Err(LocationError::no_bucket(text)),
        }
    }
}

impl fmt::Display for BucketLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

impl BucketLocation {
    /// Whether everything that lies in `other` lies here too.
    pub fn contains(&self, other: &Self) -> bool {
        self.bucket == other.bucket && other.prefix.starts_with(&self.prefix)
    }

    /// The key of an object relative to the prefix; `None` for one that lies elsewhere, or does where `..` leads upwards: to
    /// S3 that is a name like any other, but not to all that speak its protocol.
    pub(crate) fn relative<'a>(&self, bucket: &str, key: &'a str) -> Option<&'a str> {
        let leads_away = key.split('/').any(|part| matches!(part, "." | ".."));
        if bucket == self.bucket && !leads_away { key.strip_prefix(&self.prefix) } else { None }
    }

    /// The URL of an object here.
    pub(crate) fn url(&self, key: &str) -> String {
        format!("{self}{key}")
    }
}

/// Reads and writes the objects at a location. Nothing is contacted before it is asked for something.
#[derive(Debug)]
pub(crate) struct Bucket {
    location: BucketLocation,
    store: S3Store,
}

impl Bucket {
    pub(crate) fn new(location: BucketLocation, settings: S3Settings) -> Self {
        let store = S3Store::new(location.bucket.clone(), location.prefix.clone(), settings);
        Self { location, store }
    }

    pub(crate) fn location(&self) -> &BucketLocation {
        &self.location
    }

    /// The object of this key, relative to the prefix.
    ///
    /// # Errors
    /// [`StoreError::MissingObject`] and [`StoreError::ObjectTooLarge`] beside those of every store.
    pub(crate) async fn read(&self, key: &str, longest: u64) -> Result<Vec<u8>, StoreError> {
        let read = self.store.read_object(key, longest).await;
        read.inspect_err(|error| tracing::warn!(%error, "object not read"))
    }

    /// Writes an object unless there is one of this key; answers whether it was written.
    ///
    /// # Errors
    /// A bucket that can't be written.
    pub(crate) async fn write_new(&self, key: &str, content_type: &str, bytes: Bytes) -> Result<bool, StoreError> {
        let written = self.store.write_new(key, content_type, bytes).await;
        written.inspect_err(|error| tracing::warn!(%error, "object not written"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &str) -> BucketLocation {
        text.parse().unwrap()
    }

    #[test]
    fn only_what_lies_below_the_prefix_has_a_key_here() {
        let inputs = location("s3://ember/in");
        assert_eq!(inputs.relative("ember", "in/digits/7.png"), Some("digits/7.png"));
        assert_eq!(inputs.relative("ember", "in/../out/7.png"), None);
        assert_eq!(inputs.relative("ember", "inner/7.png"), None);
        assert_eq!(inputs.relative("other", "in/digits/7.png"), None);
        assert_eq!(inputs.url("digits/7.png"), "s3://ember/in/digits/7.png");
    }

    #[test]
    fn a_prefix_contains_what_is_below_it() {
        assert!(location("s3://ember").contains(&location("s3://ember/out")));
        assert!(location("s3://ember/in").contains(&location("s3://ember/in/")));
        assert!(!location("s3://ember/in").contains(&location("s3://ember/in-other")));
        assert!(!location("s3://ember/in").contains(&location("s3://other/in")));
    }

    #[test]
    fn a_folder_is_no_bucket() {
        assert!("results".parse::<BucketLocation>().is_err());
    }
}
