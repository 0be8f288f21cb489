//! A record of an SQS event.

use serde::Deserialize;
use serde_json::Value;

use super::{ContentError, Message};

/// What of a record is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    message_id: String,
    body: String,
    #[serde(default, rename = "eventSourceARN")]
    queue: String,
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    message_group_id: Option<String>,
}

impl Record {
    /// Groups of a queue that keeps no order are about fairness, not about order.
    pub(super) fn read(record: &Value) -> Result<Message, ContentError> {
        let record = Self::deserialize(record)
            .map_err(|error| ContentError::Record { service: "SQS", reason: error.to_string() })?;
        let group = record.attributes.message_group_id.filter(|_| record.queue.ends_with(".fifo"));
        Ok(Message { id: record.message_id, body: record.body, group })
    }
}
