//! The variables of the function `consume`.

use std::time::Duration;

use super::{ConfigError, Reader, Variable, variable, wrong};
use crate::consume;
use crate::queue::QueueUrl;
use crate::store::BucketLocation;

pub(super) const QUEUE: Variable = variable(
    "EMBER_QUEUE_URL",
    "a queue's http:// or https:// URL",
    "",
    "the SQS queue that consume reads itself where it is not on Lambda",
);
pub(super) const DEAD_LETTERS: Variable = variable(
    "EMBER_DEAD_LETTER_QUEUE_URL",
    "a queue's http:// or https:// URL",
    "none: such a message fails, and its queue moves it",
    "where consume sends messages that can't be answered, with the reason",
);
pub(super) const REPLIES: Variable = variable(
    "EMBER_REPLY_QUEUE_URL",
    "a queue's http:// or https:// URL",
    "none",
    "where consume sends results as messages",
);
pub(super) const RESULTS: Variable = variable(
    "EMBER_RESULTS",
    "s3://bucket/prefix, and nothing that lies in EMBER_INPUTS",
    "none; consume needs it or EMBER_REPLY_QUEUE_URL where it reads a queue or is on Lambda",
    "where consume puts results as JSON Lines",
);
pub(super) const INPUTS: Variable = variable(
    "EMBER_INPUTS",
    "s3://bucket/prefix",
    "none: no objects are read",
    "where the objects lie that consume may read",
);
pub(super) const MAX_OBJECT: Variable = variable(
    "EMBER_MAX_OBJECT_BYTES",
    "a number of bytes above 0",
    "67108864",
    "the largest object that consume reads",
);
pub(super) const ENDPOINT: Variable = variable(
    "EMBER_SQS_ENDPOINT",
    "an http:// or https:// URL",
    "AWS_ENDPOINT_URL_SQS, or where EMBER_QUEUE_URL is",
    "the SQS endpoint: ElasticMQ, …",
);
pub(super) const VISIBILITY: Variable = variable(
    "EMBER_QUEUE_VISIBILITY_SECONDS",
    "a number of seconds from 3 to 43200",
    "30",
    "how long a message that consume has read is kept from others; it is prolonged while work lasts",
);
pub(super) const BATCHES: Variable = variable(
    "EMBER_QUEUE_BATCHES",
    "a number above 0",
    "2",
    "how many batches of up to 10 messages consume works on at once",
);

/// What the SDKs of AWS call the endpoint of SQS, and that of all services.
const AWS_ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"];

impl ConfigError {
    /// A function that has messages to answer and no place for the results.
    pub(crate) fn without_results() -> Self {
        Self::Missing { name: RESULTS.name, expected: "s3://bucket/prefix, or EMBER_REPLY_QUEUE_URL to be set" }
    }

    /// A function that is to read a queue and was told none.
    pub(crate) fn without_queue() -> Self {
        Self::Missing { name: QUEUE.name, expected: QUEUE.expected }
    }
}

pub(super) fn read<F: Fn(&str) -> Option<String>>(reader: &Reader<F>) -> Result<consume::Settings, ConfigError> {
    let queue: Option<QueueUrl> = reader.parsed(&QUEUE)?;
    let dead_letters: Option<QueueUrl> = reader.parsed(&DEAD_LETTERS)?;
    let replies: Option<QueueUrl> = reader.parsed(&REPLIES)?;
    if let Some(queue) = &queue {
        let loops = [(&DEAD_LETTERS, &dead_letters), (&REPLIES, &replies)]
            .into_iter()
            .find(|(_, url)| url.as_ref() == Some(queue));
        if let Some((variable, _)) = loops {
            return Err(ConfigError::Wrong {
                name: variable.name,
                value: queue.to_string(),
                expected: "another queue than that of EMBER_QUEUE_URL",
            });
        }
    }
    let own = || [&queue, &dead_letters, &replies].into_iter().flatten().find_map(QueueUrl::foreign_endpoint);
    let endpoint = match reader.endpoint(&ENDPOINT)? {
        Some(url) => Some(url),
        None => AWS_ENDPOINTS.iter().find_map(|name| (reader.0)(name)).or_else(|| own().map(str::to_owned)),
    };
    let inputs: Option<BucketLocation> = reader.parsed(&INPUTS)?;
    let results: Option<BucketLocation> = reader.parsed(&RESULTS)?;
    if let (Some(results), Some(inputs)) = (&results, &inputs)
        && inputs.contains(results)
    {
        // Each result would be an object to be read.
        return Err(wrong(&RESULTS, &results.to_string()));
    }
    Ok(consume::Settings {
        endpoint,
        inputs,
        results,
        max_object_bytes: reader.positive(&MAX_OBJECT)?.unwrap_or(64 << 20) as u64,
        visibility: match reader.parsed::<u64>(&VISIBILITY)?.unwrap_or(30) {
            seconds @ 3..=43200 => Duration::from_secs(seconds),
            seconds => return Err(wrong(&VISIBILITY, &seconds.to_string())),
        },
        batches: reader.positive(&BATCHES)?.unwrap_or(2),
        queue,
        dead_letters,
        replies,
    })
}
