//! Events as services send them, down to what they ask for: requests, and objects of a bucket.

mod cloud;
mod content;
mod key;
mod record;

use serde_json::Value;

pub(crate) use cloud::id as cloud_id;
pub(crate) use content::{Content, ContentError, Fields, contents};
use record::Record;

/// What a function that consumes is handed.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// Messages of a queue: each is answered for by itself.
    Messages(Vec<Message>),
    /// Something that happened, of which nobody waits for an answer.
    Notice(Value),
    /// Somebody waits for an answer.
    Request(Value),
}

/// A message of a queue, or something that is treated as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
    /// Of a FIFO queue: messages of one group are handled in order.
    pub(crate) group: Option<String>,
}

impl Event {
    /// Tells events apart by the names of the services that sent them.
    ///
    /// # Errors
    /// Messages of a queue that lack what they are answered by.
    pub(crate) fn read(event: Value) -> Result<Self, ContentError> {
        let source = event.pointer("/Records/0/eventSource").and_then(Value::as_str);
        if source == Some("aws:sqs") {
            let records = event.get("Records").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let messages = records.iter().map(Record::read).collect::<Result<_, _>>()?;
            return Ok(Self::Messages(messages));
        }
        let is_notice = event.get("Records").is_some()
            || content::is_of_event_bridge(&event)
            || content::is_test(&event)
            || cloud::id(&event).is_some();
        Ok(if is_notice { Self::Notice(event) } else { Self::Request(event) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_fifo_queue_has_groups() {
        let record = |queue: &str| {
            json!({
                "messageId": "1", "body": "{}", "eventSource": "aws:sqs",
                "eventSourceARN": format!("arn:aws:sqs:eu-central-1:123456789012:{queue}"),
                "attributes": {"MessageGroupId": "a"},
            })
        };
        for (queue, group) in [("work", None), ("work.fifo", Some("a".to_owned()))] {
            let event = Event::read(json!({"Records": [record(queue)]})).unwrap();
            let message = Message { id: "1".to_owned(), body: "{}".to_owned(), group };
            assert_eq!(event, Event::Messages(vec![message]));
        }
    }

    #[test]
    fn events_of_other_services_are_notices_and_the_rest_requests() {
        for notice in [
            json!({"Records": [{"eventSource": "aws:s3"}]}),
            json!({"Records": [{"EventSource": "aws:sns"}]}),
            json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}),
            json!({"specversion": "1.0", "id": "7", "source": "/here", "type": "work", "data": {}}),
        ] {
            assert!(matches!(Event::read(notice), Ok(Event::Notice(_))));
        }
        for request in [json!({"model": "digits", "input": []}), json!([]), json!(null)] {
            assert!(matches!(Event::read(request), Ok(Event::Request(_))));
        }
    }

    #[test]
    fn a_message_that_cannot_be_answered_for_is_an_error() {
        let event = json!({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]});
        assert!(matches!(Event::read(event), Err(ContentError::Record { .. })));
    }
}
