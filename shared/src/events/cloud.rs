//! CloudEvents, as JSON holds them whole, and what Google Pub/Sub pushes: down to what is in them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::ContentError;

/// What is in an event.
#[derive(Debug, PartialEq)]
pub(super) enum Held {
    /// A request, or another event.
    Event(Value),
    /// An object that was put into a bucket.
    Object { bucket: String, key: String },
}

/// What Google Cloud Storage calls a new object, in its CloudEvents and in its notifications.
const FINALIZED: &str = "google.cloud.storage.object.v1.finalized";
const FINALIZE: &str = "OBJECT_FINALIZE";
/// How the types of all of its CloudEvents begin.
const STORAGE: &str = "google.cloud.storage.";

/// The id of an event of these kinds; `None` for whatever is of another.
pub(crate) fn id(event: &Value) -> Option<&str> {
    if is_cloud_event(event) {
        return Some(event.get("id").and_then(Value::as_str).unwrap_or_default());
    }
    if !is_push(event) {
        return None;
    }
    let id = ["/message/messageId", "/message/message_id"].iter().find_map(|path| event.pointer(path));
    Some(id.and_then(Value::as_str).unwrap_or_default())
}

/// What is in an event of these kinds; `None` for whatever is of another.
pub(super) fn open(event: &Value) -> Option<Result<Held, ContentError>> {
    if is_cloud_event(event) {
        Some(of_cloud_event(event))
    } else if is_push(event) {
        Some(of_push(event))
    } else {
        None
    }
}

fn is_cloud_event(event: &Value) -> bool {
    event.get("specversion").is_some()
}

fn is_push(event: &Value) -> bool {
    event.get("message").is_some_and(Value::is_object) && event.get("subscription").is_some_and(Value::is_string)
}

fn cloud(reason: impl Into<String>) -> ContentError {
    ContentError::Record { service: "CloudEvents", reason: reason.into() }
}

fn of_cloud_event(event: &Value) -> Result<Held, ContentError> {
    let text = |name: &str| event.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let missing = |name: &str| cloud(format!("expected {name:?}, a text"));
    let required = |name: &'static str| text(name).ok_or_else(|| missing(name));
    let (version, kind) = (required("specversion")?, required("type")?);
    required("id")?;
    required("source")?;
    if !version.starts_with("1.") {
        return Err(cloud(format!("expected specversion 1.0, got {version:?}")));
    }
    let data = match (event.get("data"), text("data_base64")) {
        // Some senders write JSON into a text.
        (Some(Value::String(json)), _) => super::content::parse(json)?,
        (Some(data), _) if !data.is_null() => data.clone(),
        (_, Some(encoded)) => of_base64(encoded).ok_or_else(|| cloud("data_base64 is no text in base64"))??,
        _ => return Err(cloud("expected data")),
    };
    if !kind.starts_with(STORAGE) {
        return Ok(Held::Event(data));
    }
    let place = |name: &str| data.get(name).and_then(Value::as_str).map(str::to_owned);
    match (kind, place("bucket"), place("name")) {
        (FINALIZED, Some(bucket), Some(key)) => Ok(Held::Object { bucket, key }),
        (FINALIZED, ..) => Err(storage("expected bucket and name in its data".to_owned())),
        _ => Err(storage(format!("expected {FINALIZED}, got {kind}"))),
    }
}

fn storage(reason: String) -> ContentError {
    ContentError::Record { service: "Cloud Storage", reason }
}

/// A bucket's notification says in the attributes what its message is about.
fn of_push(event: &Value) -> Result<Held, ContentError> {
    let attributes = event.pointer("/message/attributes").and_then(Value::as_object);
    let attribute = |name: &str| attributes?.get(name)?.as_str();
    if let (Some(kind), Some(bucket), Some(key)) =
        (attribute("eventType"), attribute("bucketId"), attribute("objectId"))
    {
        return match kind {
            FINALIZE => Ok(Held::Object { bucket: bucket.to_owned(), key: key.to_owned() }),
            other => Err(storage(format!("expected {FINALIZE}, got {other}"))),
        };
    }
    let unreadable =
        || ContentError::Record { service: "Pub/Sub", reason: "expected message.data, a text in base64".to_owned() };
    let data = event.pointer("/message/data").and_then(Value::as_str).ok_or_else(unreadable)?;
    of_base64(data).ok_or_else(unreadable)?.map(Held::Event)
}

/// The JSON that base64 holds; `None` where it holds no text.
fn of_base64(encoded: &str) -> Option<Result<Value, ContentError>> {
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    Some(super::content::parse(&text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(kind: &str, data: Value) -> Value {
        json!({"specversion": "1.0", "id": "7", "source": "/here", "type": kind, "data": data})
    }

    fn push(message: Value) -> Value {
        json!({"message": message, "subscription": "projects/p/subscriptions/s"})
    }

    #[test]
    fn a_request_is_found_as_json_as_a_text_and_in_base64() {
        let request = json!({"model": "digits", "input": [1]});
        let encoded = STANDARD.encode(request.to_string());
        for event in [
            event("a", request.clone()),
            event("a", Value::from(request.to_string())),
            json!({"specversion": "1.0", "id": "7", "source": "/", "type": "a", "data_base64": encoded}),
            push(json!({"messageId": "7", "data": encoded})),
            push(json!({"message_id": "7", "data": encoded, "attributes": {"eventType": "ours"}})),
        ] {
            assert_eq!(open(&event), Some(Ok(Held::Event(request.clone()))), "{event}");
            assert_eq!(id(&event), Some("7"));
        }
    }

    #[test]
    fn a_new_object_of_cloud_storage_is_found_with_its_key_as_it_is() {
        let attributes = json!({"eventType": FINALIZE, "bucketId": "ember", "objectId": "in/a b+c.png"});
        let found = Held::Object { bucket: "ember".to_owned(), key: "in/a b+c.png".to_owned() };
        let told = event(FINALIZED, json!({"bucket": "ember", "name": "in/a b+c.png", "size": "7"}));
        assert_eq!(open(&told), Some(Ok(Held::Object { bucket: "ember".to_owned(), key: "in/a b+c.png".to_owned() })));
        assert_eq!(open(&push(json!({"messageId": "7", "attributes": attributes}))), Some(Ok(found)));
    }

    #[test]
    fn an_event_that_is_not_as_it_has_to_be_is_refused_with_what_was_expected() {
        let removed = json!({"eventType": "OBJECT_DELETE", "bucketId": "ember", "objectId": "a"});
        for (event, part) in [
            (json!({"specversion": "1.0", "id": "7", "source": "/", "data": {}}), "\"type\""),
            (json!({"specversion": 1, "id": "7", "source": "/", "type": "a"}), "\"specversion\""),
            (json!({"specversion": "0.3", "id": "7", "source": "/", "type": "a"}), "0.3"),
            (event("a", Value::Null), "data"),
            (event("a", Value::from("no JSON")), "JSON"),
            (json!({"specversion": "1.0", "id": "7", "source": "/", "type": "a", "data_base64": "%"}), "base64"),
            (event("google.cloud.storage.object.v1.deleted", json!({})), "finalized"),
            (event(FINALIZED, json!({"bucket": "ember"})), "name"),
            (push(json!({"messageId": "7", "attributes": removed})), FINALIZE),
            (push(json!({"messageId": "7"})), "message.data"),
            (push(json!({"data": "%"})), "base64"),
        ] {
            let error = open(&event).unwrap().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn whatever_is_of_another_kind_is_left_alone() {
        for event in [json!({"model": "digits"}), json!({"message": "x", "subscription": "y"}), json!([]), json!(null)]
        {
            assert_eq!((open(&event), id(&event)), (None, None));
        }
    }
}
