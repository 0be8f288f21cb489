//! What a consumer is told.

use std::time::Duration;

use crate::queue::QueueUrl;
use crate::store::BucketLocation;

/// What a consumer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The queue that is read where nobody else reads it.
    pub queue: Option<QueueUrl>,
    /// Where messages go that can't be answered.
    pub dead_letters: Option<QueueUrl>,
    /// Where results go, as messages.
    pub replies: Option<QueueUrl>,
    /// The endpoint of these queues, where it is not AWS's own.
    pub endpoint: Option<String>,
    /// Where the objects lie that requests may name.
    pub inputs: Option<BucketLocation>,
    /// Where results go, as objects.
    pub results: Option<BucketLocation>,
    /// The largest object that is read.
    pub max_object_bytes: u64,
    /// How long a message is kept from others until it is said again that it is being worked on.
    pub visibility: Duration,
    /// How many batches of messages are worked on at once.
    pub batches: usize,
}

impl Settings {
    /// Whether results have a place of their own.
    pub(crate) fn has_place_for_results(&self) -> bool {
        self.results.is_some() || self.replies.is_some()
    }
}
