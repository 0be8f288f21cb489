//! What an event asks for, out of all that it may be wrapped in.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{cloud, key};

/// The fields of a request.
pub(crate) type Fields = Map<String, Value>;

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// A request.
    Request(Fields),
    /// An object that was put into a bucket.
    Object { bucket: String, key: String },
}

/// Why an event asks for nothing that could be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub(crate) enum ContentError {
    #[error("the message is no JSON: {0}")]
    Json(String),
    #[error("the message is {got}: expected an object, a request or an event")]
    NotAnObject { got: &'static str },
    #[error("a record of {service} can't be read: {reason}")]
    Record { service: &'static str, reason: String },
    #[error("a record is of {got:?}: expected aws:s3 or aws:sns")]
    Source { got: String },
    #[error("the event {got:?} is not about a new object: expected ObjectCreated")]
    S3Event { got: String },
    #[error("the key {0:?} can't be decoded")]
    Key(String),
    #[error("the message is wrapped more than {0} times")]
    Depth(usize),
}

/// How often one event may be wrapped in another: an S3 notification in one of SNS in a message of SQS, and one to spare.
const DEPTH: usize = 4;

/// What a message asks for: none for a notice that says nothing.
///
/// # Errors
/// A message that is neither a request nor an event of a service that is known.
pub(crate) fn contents(body: &str) -> Result<Vec<Content>, ContentError> {
    let mut found = Vec::new();
    unwrap(parse(body)?, DEPTH, &mut found)?;
    Ok(found)
}

/// Whether it is an event of EventBridge.
pub(super) fn is_of_event_bridge(event: &Value) -> bool {
    event.get("detail-type").is_some() && event.get("detail").is_some()
}

/// Whether it is what S3 sends when notifications are set up.
pub(super) fn is_test(event: &Value) -> bool {
    event.get("Event").and_then(Value::as_str) == Some("s3:TestEvent")
}

pub(super) fn parse(body: &str) -> Result<Value, ContentError> {
    serde_json::from_str(body).map_err(|error| ContentError::Json(error.to_string()))
}

fn unwrap(event: Value, depth: usize, found: &mut Vec<Content>) -> Result<(), ContentError> {
    let depth = depth.checked_sub(1).ok_or(ContentError::Depth(DEPTH))?;
    if is_test(&event) {
        return Ok(());
    }
    if is_of_event_bridge(&event) {
        found.push(of_event_bridge(event)?);
        return Ok(());
    }
    match cloud::open(&event).transpose()? {
        Some(cloud::Held::Event(held)) => return unwrap(held, depth, found),
        Some(cloud::Held::Object { bucket, key }) => {
            found.push(Content::Object { bucket, key });
            return Ok(());
        }
        None => {}
    }
    let mut fields = match event {
        Value::Object(fields) => fields,
        other => return Err(ContentError::NotAnObject { got: kind(&other) }),
    };
    if let Some(Value::Array(records)) = fields.get_mut("Records").map(Value::take) {
        return records.into_iter().try_for_each(|record| of_record(record, depth, found));
    }
    match (fields.get("Type").and_then(Value::as_str), fields.get("Message").and_then(Value::as_str)) {
        (Some("Notification"), Some(message)) => unwrap(parse(message)?, depth, found),
        _ => {
            found.push(Content::Request(fields));
            Ok(())
        }
    }
}

fn of_record(record: Value, depth: usize, found: &mut Vec<Content>) -> Result<(), ContentError> {
    // SNS alone writes the name with a capital letter.
    let source = record.get("eventSource").or_else(|| record.get("EventSource")).and_then(Value::as_str);
    match source {
        Some("aws:s3") => {
            found.push(of_s3(record)?);
            Ok(())
        }
        Some("aws:sns") => {
            let message = record.pointer("/Sns/Message").and_then(Value::as_str);
            let missing = || ContentError::Record { service: "SNS", reason: "expected Sns.Message, a text".to_owned() };
            unwrap(parse(message.ok_or_else(missing)?)?, depth, found)
        }
        other => Err(ContentError::Source { got: other.unwrap_or("no service").to_owned() }),
    }
}

#[derive(Deserialize)]
struct S3Entity {
    bucket: Named,
    object: Keyed,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Keyed {
    key: String,
}

fn of_s3(record: Value) -> Result<Content, ContentError> {
    #[derive(Deserialize)]
    struct S3Record {
        #[serde(rename = "eventName")]
        name: String,
        s3: S3Entity,
    }
    let unreadable = |error: serde_json::Error| ContentError::Record { service: "S3", reason: error.to_string() };
    let S3Record { name, s3 } = serde_json::from_value(record).map_err(unreadable)?;
    if !name.trim_start_matches("s3:").starts_with("ObjectCreated:") {
        return Err(ContentError::S3Event { got: name });
    }
    let key = key::decode(&s3.object.key).ok_or(ContentError::Key(s3.object.key))?;
    Ok(Content::Object { bucket: s3.bucket.name, key })
}

/// S3's events on EventBridge write keys as they are; the detail of all others is a request.
fn of_event_bridge(mut event: Value) -> Result<Content, ContentError> {
    let unreadable =
        |error: serde_json::Error| ContentError::Record { service: "EventBridge", reason: error.to_string() };
    let detail = event.get_mut("detail").map(Value::take).unwrap_or_default();
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("source") == "aws.s3" {
        if text("detail-type") != "Object Created" {
            return Err(ContentError::S3Event { got: text("detail-type").to_owned() });
        }
        let S3Entity { bucket, object } = serde_json::from_value(detail).map_err(unreadable)?;
        return Ok(Content::Object { bucket: bucket.name, key: object.key });
    }
    serde_json::from_value(detail).map(Content::Request).map_err(unreadable)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(key: &str) -> Content {
        Content::Object { bucket: "ember".to_owned(), key: key.to_owned() }
    }

    fn notification(key: &str) -> Value {
        let s3 = json!({"bucket": {"name": "ember"}, "object": {"key": key}});
        json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}]})
    }

    fn sns(message: &Value) -> Value {
        json!({"Type": "Notification", "TopicArn": "arn:aws:sns:::t", "Message": message.to_string()})
    }

    #[test]
    fn a_request_is_found_in_whatever_it_is_wrapped_in() {
        let request = json!({"model": "digits", "input": [1]});
        let fields = request.as_object().unwrap().clone();
        for event in [
            request.clone(),
            sns(&request),
            json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": request.to_string()}}]}),
            json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": request}),
            json!({"specversion": "1.0", "id": "7", "source": "/", "type": "ask", "data": request}),
            sns(&sns(&request)),
        ] {
            assert_eq!(contents(&event.to_string()), Ok(vec![Content::Request(fields.clone())]), "{event}");
        }
    }

    #[test]
    fn a_new_object_is_found_with_its_key_decoded() {
        let found = Ok(vec![object("in/a b.png")]);
        assert_eq!(contents(&notification("in/a+b.png").to_string()), found);
        assert_eq!(contents(&sns(&notification("in/a%20b.png")).to_string()), found);
        let detail = json!({"bucket": {"name": "ember"}, "object": {"key": "in/a b.png"}});
        let event = json!({"source": "aws.s3", "detail-type": "Object Created", "detail": detail});
        assert_eq!(contents(&event.to_string()), found);
    }

    #[test]
    fn the_test_of_a_new_notification_asks_for_nothing() {
        assert_eq!(contents(r#"{"Service": "Amazon S3", "Event": "s3:TestEvent"}"#), Ok(Vec::new()));
    }

    #[test]
    fn what_asks_for_nothing_that_could_be_done_is_refused_with_what_was_expected() {
        let removed = json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectRemoved:Delete",
            "s3": {"bucket": {"name": "ember"}, "object": {"key": "a"}}}]});
        for (event, part) in [
            ("{".to_owned(), "no JSON"),
            ("[1]".to_owned(), "a list"),
            ("7".to_owned(), "a number"),
            (removed.to_string(), "ObjectRemoved:Delete"),
            (json!({"Records": [{"eventSource": "aws:kinesis"}]}).to_string(), "aws:kinesis"),
            (json!({"Records": [{}]}).to_string(), "no service"),
            (json!({"Records": [{"EventSource": "aws:sns"}]}).to_string(), "Sns.Message"),
            (notification("%zz").to_string(), "%zz"),
            (sns(&sns(&sns(&sns(&json!({}))))).to_string(), "wrapped"),
        ] {
            let error = contents(&event).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
