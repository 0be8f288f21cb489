//! What a package is read from: something that answers with the bytes of a range.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;

use aws_sdk_s3::primitives::ByteStream;

use super::Fault;

/// An answer whose bytes are still to come.
#[derive(Debug)]
pub(in crate::store) struct Opened {
    /// Where in the object its bytes start: before what was asked for, where the store knows no ranges.
    pub(in crate::store) start: u64,
    /// The size of the object.
    pub(in crate::store) total: u64,
    /// The version of the object.
    pub(in crate::store) etag: Option<String>,
    pub(in crate::store) body: ByteStream,
}

/// A request under way.
pub(in crate::store) type Reading = Pin<Box<dyn Future<Output = Result<Opened, Fault>> + Send>>;

/// One object of a store.
pub(in crate::store) trait Source: fmt::Debug + Send + Sync {
    /// Asks for a range of the object, of that version if one is named. A range may end behind the object's end.
    fn read(&self, range: Range<u64>, etag: Option<&str>) -> Reading;
}
