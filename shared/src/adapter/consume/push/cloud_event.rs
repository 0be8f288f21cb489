//! CloudEvents over HTTP, version 1.0: structured (the body holds it whole) and binary (the body is its data, headers tell
//! the rest).

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::api::{ApiError, json_response};

const STRUCTURED: &str = "application/cloudevents+json";
/// How the types of all formats of structured events begin.
const FORMATS: &str = "application/cloudevents";
const PREFIX: &str = "ce-";
/// What Pub/Sub says of a message that it pushes without a wrapper.
const PUBSUB_ID: &str = "x-goog-pubsub-message-id";
const PUBSUB_SUBSCRIPTION: &str = "x-goog-pubsub-subscription-name";
/// What has to be encoded in a header.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// What is told of an answer that is an event.
const ANSWER_TYPE: HeaderValue = HeaderValue::from_static("emberlite.answer");
const ANSWER_SOURCE: HeaderValue = HeaderValue::from_static("/emberlite/consume");
const VERSION: HeaderValue = HeaderValue::from_static("1.0");

/// Whether it is an event, as JSON holds it whole.
pub(super) fn is(event: &Value) -> bool {
    event.get("specversion").is_some()
}

/// The event that a request carries, whole; the JSON of its body where it carries none.
///
/// # Errors
/// A body that is no JSON, an event in another format, or a header that can't be decoded.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Value, ApiError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = text("content-type").and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    let is_structured = media_type.eq_ignore_ascii_case(STRUCTURED);
    let is_event = media_type.get(..FORMATS.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORMATS));
    if is_event && !is_structured {
        let expected = "application/cloudevents+json, or an event whose attributes are headers";
        return Err(ApiError::unsupported_media_type(expected, media_type));
    }
    if headers.contains_key("ce-specversion") && !is_structured {
        let mut event = attributes(headers)?;
        event.extend(data(body));
        return Ok(Value::Object(event));
    }
    if let Some(id) = text(PUBSUB_ID) {
        let source = text(PUBSUB_SUBSCRIPTION).unwrap_or("pubsub");
        let kind = "google.cloud.pubsub.topic.v1.messagePublished";
        let mut event = Map::from_iter(
            [("specversion", "1.0"), ("id", id), ("source", source), ("type", kind)]
                .map(|(name, value)| (name.to_owned(), Value::from(value))),
        );
        event.extend(data(body));
        return Ok(Value::Object(event));
    }
    let event: Value = serde_json::from_slice(body).map_err(|error| ApiError::malformed_json(&error))?;
    if is_structured && !is(&event) {
        return Err(ApiError::bad_request("the event has no \"specversion\""));
    }
    Ok(event)
}

/// The answer to an event, as an event: a broker takes no other.
pub(super) fn reply(id: &str, answer: &Value) -> Response {
    let mut response = json_response(StatusCode::OK, answer);
    let told = [("ce-type", ANSWER_TYPE), ("ce-source", ANSWER_SOURCE), ("ce-specversion", VERSION)];
    response.headers_mut().extend(told.map(|(name, value)| (HeaderName::from_static(name), value)));
    if let Ok(id) = HeaderValue::from_str(&utf8_percent_encode(id, ENCODED).to_string()) {
        response.headers_mut().insert(HeaderName::from_static("ce-id"), id);
    }
    response
}

/// The attributes of an event whose headers tell them.
fn attributes(headers: &HeaderMap) -> Result<Map<String, Value>, ApiError> {
    let mut attributes = Map::new();
    for (name, value) in headers {
        if let Some(attribute) = name.as_str().strip_prefix(PREFIX) {
            let wrong = || ApiError::bad_request(format!("the header {name} can't be decoded"));
            let value = decode(value).ok_or_else(wrong)?;
            attributes.insert(attribute.to_owned(), value.into());
        }
    }
    if let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) {
        attributes.insert("datacontenttype".to_owned(), kind.into());
    }
    Ok(attributes)
}

/// A header's value, without quotes and percent signs; `None` where it is no text.
fn decode(value: &HeaderValue) -> Option<String> {
    let text = std::str::from_utf8(value.as_bytes()).ok()?;
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let text = quoted.map_or_else(|| text.to_owned(), unescape);
    percent_decode_str(&text).decode_utf8().ok().map(|decoded| decoded.into_owned())
}

/// A backslash stands before a character that counts as itself.
fn unescape(quoted: &str) -> String {
    let mut characters = quoted.chars();
    let mut text = String::with_capacity(quoted.len());
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}

/// Data as the JSON format of an event has them.
fn data(body: &[u8]) -> Option<(String, Value)> {
    let (name, value) = match std::str::from_utf8(body) {
        Ok("") => return None,
        Ok(text) => ("data", serde_json::from_str(text).unwrap_or_else(|_| text.into())),
        Err(_) => ("data_base64", STANDARD.encode(body).into()),
    };
    Some((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    const BINARY: [(&str, &str); 5] = [
        ("ce-specversion", "1.0"),
        ("ce-id", "7"),
        ("ce-source", "/here"),
        ("ce-type", "ask"),
        ("content-type", "application/json"),
    ];

    #[test]
    fn both_modes_give_the_same_event() {
        let whole = json!({"specversion": "1.0", "id": "7", "source": "/here", "type": "ask",
            "datacontenttype": "application/json", "data": {"model": "digits"}});
        assert_eq!(read(&headers(&BINARY), br#"{"model": "digits"}"#).unwrap(), whole);
        let structured = [("content-type", "Application/CloudEvents+JSON; charset=utf-8"), ("ce-specversion", "1.0")];
        assert_eq!(read(&headers(&structured), whole.to_string().as_bytes()).unwrap(), whole);
    }

    #[test]
    fn headers_are_decoded_once() {
        for (value, decoded) in [
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
            ("100%2525", "100%25"),
            ("\"a \\\"b\\\" %41\"", "a \"b\" A"),
            ("plain", "plain"),
        ] {
            let event = read(&headers(&[("ce-specversion", "1.0"), ("ce-subject", value)]), b"").unwrap();
            assert_eq!(event["subject"], decoded);
        }
        assert!(read(&headers(&[("ce-specversion", "1.0"), ("ce-subject", "%C0%A0")]), b"").is_err());
    }

    #[test]
    fn data_that_are_no_json_are_kept_as_they_are() {
        assert_eq!(read(&headers(&BINARY), b"{").unwrap()["data"], "{");
        assert_eq!(read(&headers(&BINARY), b"\xff").unwrap()["data_base64"], "/w==");
        assert_eq!(read(&headers(&BINARY), b"").unwrap().get("data"), None);
    }

    #[test]
    fn a_message_without_a_wrapper_is_an_event_too() {
        let told = [(PUBSUB_ID, "7"), (PUBSUB_SUBSCRIPTION, "projects/p/subscriptions/s")];
        let event = read(&headers(&told), br#"{"model": "digits"}"#).unwrap();
        assert_eq!((&event["id"], &event["data"]["model"]), (&json!("7"), &json!("digits")));
    }

    #[test]
    fn what_can_not_be_read_is_refused() {
        for (kind, body) in [
            ("application/cloudevents-batch+json", "[]"),
            ("application/cloudevents+avro", "{}"),
            (STRUCTURED, "{}"),
            (STRUCTURED, "{"),
            ("application/json", "{"),
        ] {
            assert!(read(&headers(&[("content-type", kind)]), body.as_bytes()).is_err_and(|error| error.is_final()));
        }
    }

    #[test]
    fn an_answer_is_an_event() {
        let told = reply("a b", &json!({}));
        assert_eq!(told.headers()["ce-id"], "a%20b");
        assert_eq!(told.headers()["ce-specversion"], "1.0");
    }
}
