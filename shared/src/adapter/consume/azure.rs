//! Azure Functions, as a custom handler: what a queue or a container has for a function comes as `POST /FUNCTION`, wrapped,
//! and so goes the answer.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Receiver;
use crate::api::{self, ApiError};
use crate::consume::Limit;
use crate::events::Message;

const INVOCATION_ID: &str = "x-azure-functions-invocationid";

/// Whatever the function is called that has the trigger.
pub(super) fn routes(receiver: Receiver) -> Router {
    Router::new().route("/{function}", post(invoke)).with_state(receiver)
}

/// What a trigger has, by the names of the function's bindings.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Invocation {
    data: Map<String, Value>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    outputs: Map<String, Value>,
    logs: Vec<String>,
    /// A text, as the output `$return` takes it.
    return_value: Option<String>,
}

async fn invoke(State(receiver): State<Receiver>, headers: HeaderMap, body: Body) -> Response {
    match see_to(&receiver, &headers, body).await {
        Ok(response) => response,
        Err(error) => super::push::refuse(error),
    }
}

async fn see_to(receiver: &Receiver, headers: &HeaderMap, body: Body) -> Result<Response, ApiError> {
    let body = receiver.read(headers, body).await?;
    let invocation: Invocation = serde_json::from_slice(&body).map_err(|error| ApiError::malformed_json(&error))?;
    let invoked_as = headers.get(INVOCATION_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    let answer = receiver.consumer.settle(invocation.message(invoked_as)?, &Limit::at(None)).await?;
    let return_value = (!answer.is_null()).then(|| answer.to_string());
    let answer = Answer { outputs: Map::new(), logs: Vec::new(), return_value };
    Ok(api::json_response(StatusCode::OK, &answer))
}

impl Invocation {
    /// The message that its only binding has.
    fn message(self, invoked_as: &str) -> Result<Message, ApiError> {
        let count = self.data.len();
        let mut values = self.data.into_values();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(ApiError::bad_request(format!(
                "\"Data\" has {count} bindings: expected that of the trigger alone"
            )));
        };
        let id = self.metadata.get("Id").and_then(Value::as_str).map_or(invoked_as, |id| id.trim_matches('"'));
        Ok(Message { id: id.to_owned(), body: text(value), group: None })
    }
}

/// A message as it was sent: the host writes texts as JSON, some of them twice.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(Value::String(inner)) => inner,
            _ => text,
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(invocation: Value) -> Result<Message, ApiError> {
        serde_json::from_value::<Invocation>(invocation).unwrap().message("invocation")
    }

    #[test]
    fn a_message_is_read_however_the_host_writes_it() {
        let request = json!({"model":"digits"});
        for value in [request.clone(), request.to_string().into(), Value::from(request.to_string()).to_string().into()]
        {
            let read = message(json!({"Data": {"work": value}, "Metadata": {"Id": "\"7\""}})).unwrap();
            assert_eq!((read.id.as_str(), read.body), ("7", request.to_string()));
        }
        assert_eq!(message(json!({"Data": {"work": "no JSON"}})).unwrap().body, "no JSON");
        assert_eq!(message(json!({"Data": {"work": ""}})).unwrap().id, "invocation");
    }

    #[test]
    fn whatever_has_not_one_binding_is_refused() {
        for data in [json!({}), json!({"a": "{}", "b": "{}"})] {
            assert!(message(json!({"Data": data})).is_err_and(|error| error.is_final()));
        }
    }
}
