//! Work that arrives as messages: requests and objects in, results into a bucket or a queue.
//!
//! A message goes through here in this order: what it asks for ([`crate::events`]), the answers, those of one model in one
//! batch (`answers`; `object` reads the objects of a bucket), and their delivery (`delivery`). What becomes of it is its
//! [`Fate`].

mod answers;
mod delivery;
mod direct;
mod limit;
mod object;
mod request;
mod result;
mod settings;
mod settle;
mod waves;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::api::{Api, ApiError, Function};
use crate::config::{Config, ConfigError};
use crate::queue::Queues;
use crate::store::Bucket;
pub(crate) use limit::Limit;
use request::{Asked, Request};
pub use settings::Settings;

/// Answers messages and sees to their results.
#[derive(Debug)]
pub struct Consumer {
    api: Arc<Api>,
    settings: Settings,
    /// Where the objects lie that requests may name.
    inputs: Option<Bucket>,
    results: Option<Bucket>,
    queues: Queues,
    /// The largest picture that is read.
    max_image_bytes: u64,
    /// For objects that are answered line by line: each lies in memory as a whole.
    files: Semaphore,
    /// For results that are delivered.
    deliveries: Semaphore,
}

/// How many objects are answered line by line at once.
const FILES_AT_ONCE: usize = 2;
/// How many results are delivered at once.
const DELIVERIES_AT_ONCE: usize = 16;

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is answered, or will never be and lies in the dead-letter queue.
    Done,
    /// It may be answered another time.
    Failed(ApiError),
    /// Nothing was done about it: time is up, or one before it in its group has failed.
    GivenBack,
}

impl Consumer {
    /// Answers with the models of `function`. Nothing is contacted before there is a message.
    ///
    /// # Errors
    /// A configuration that tells no place for results.
    pub fn new(config: &Config, function: &Function) -> Result<Self, ConfigError> {
        if !config.consume.has_place_for_results() {
            return Err(ConfigError::without_results());
        }
        Ok(Self::that_may_answer(config, function))
    }

    /// As [`Consumer::new`], for messages whose senders wait for what became of them: where no place for results is told,
    /// they are answered with them.
    pub(crate) fn that_may_answer(config: &Config, function: &Function) -> Self {
        let settings = config.consume.clone();
        let s3 = config.s3.clone();
        let bucket = |location| Bucket::new(location, s3.clone());
        Self {
            api: function.api(),
            inputs: settings.inputs.clone().map(bucket),
            results: settings.results.clone().map(bucket),
            queues: Queues::new(settings.endpoint.clone()),
            max_image_bytes: config.max_body_bytes as u64,
            files: Semaphore::new(FILES_AT_ONCE),
            deliveries: Semaphore::new(DELIVERIES_AT_ONCE),
            settings,
        }
    }

    /// What it was told.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn queues(&self) -> &Queues {
        &self.queues
    }
}
