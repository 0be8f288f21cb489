//! A request out of a message: `{"task", "model", "id", "input" or "object", …}`.

use serde_json::Value;

use crate::api::ApiError;
use crate::events::{Content, ContentError, Fields};
use crate::model::Task;

/// What is asked for, and how it is called.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    /// By default what the model is for.
    pub(super) task: Option<Task>,
    pub(super) model: Option<String>,
    /// What the sender calls it.
    pub(super) id: Option<String>,
    pub(super) asked: Asked,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    /// The fields of a body, as the task's path takes them.
    Fields(Fields),
    /// What lies in an object.
    Object { bucket: String, key: String },
}

/// Why a request can't be one.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("{field:?} is wrong: expected {expected}, got {got}")]
    Field { field: &'static str, expected: &'static str, got: Value },
    #[error("a request that names an object has no {0:?} beside it: the object says it")]
    BesideObject(String),
    #[error("a request needs an \"input\" or another field that its task takes, or an \"object\"")]
    Empty,
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<ContentError> for ApiError {
    fn from(error: ContentError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl Request {
    /// Reads what a message asks for.
    ///
    /// # Errors
    /// A field that is not as it has to be.
    pub(super) fn read(content: Content) -> Result<Self, ApiError> {
        let mut fields = match content {
            Content::Object { bucket, key } => {
                return Ok(Self { task: None, model: None, id: None, asked: Asked::Object { bucket, key } });
            }
            Content::Request(fields) => fields,
        };
        let task = text(&mut fields, "task")?.map(task).transpose()?;
        let (model, id) = (text(&mut fields, "model")?, text(&mut fields, "id")?);
        let asked = match text(&mut fields, "object")? {
            Some(object) => match fields.keys().next() {
                Some(other) => return Err(RequestError::BesideObject(other.clone()).into()),
                None => place(&object)?,
            },
            None if fields.is_empty() => return Err(RequestError::Empty.into()),
            None => Asked::Fields(fields),
        };
        Ok(Self { task, model, id, asked })
    }
}

fn text(fields: &mut Fields, field: &'static str) -> Result<Option<String>, RequestError> {
    match fields.remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(got) => Err(RequestError::Field { field, expected: "a text", got }),
    }
}

fn task(name: String) -> Result<Task, RequestError> {
    let expected = "predict, classify, embed, rerank or generate";
    serde_json::from_value(Value::from(name.as_str())).map_err(|_| RequestError::Field {
        field: "task",
        expected,
        got: name.into(),
    })
}

fn place(object: &str) -> Result<Asked, RequestError> {
    let parts = object.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    match parts {
        Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
            Ok(Asked::Object { bucket: bucket.to_owned(), key: key.to_owned() })
        }
        _ => Err(RequestError::Field { field: "object", expected: "s3://bucket/key", got: object.into() }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(request: Value) -> Result<Request, ApiError> {
        let Value::Object(fields) = request else { return Err(ApiError::bad_request("no object")) };
        Request::read(Content::Request(fields))
    }

    #[test]
    fn what_is_not_said_of_a_request_is_its_tasks_body() {
        let request =
            read(json!({"task": "classify", "model": "intents", "id": "7", "input": "Hi", "top_k": 2})).unwrap();
        let Value::Object(fields) = json!({"input": "Hi", "top_k": 2}) else { return };
        let (task, model, id) = (Some(Task::Classify), Some("intents".to_owned()), Some("7".to_owned()));
        assert_eq!(request, Request { task, model, id, asked: Asked::Fields(fields) });
    }

    #[test]
    fn an_object_is_named_by_its_url() {
        let request = read(json!({"object": "s3://ember/in/digits/7.png"})).unwrap();
        let asked = Asked::Object { bucket: "ember".to_owned(), key: "in/digits/7.png".to_owned() };
        assert_eq!(request.asked, asked);
    }

    #[test]
    fn a_wrong_field_is_refused_with_what_it_has_to_be() {
        for (request, part) in [
            (json!({}), "\\\"input\\\""),
            (json!({"model": "digits"}), "\\\"input\\\""),
            (json!({"task": "paint", "input": 1}), "predict, classify"),
            (json!({"task": 1, "input": 1}), "a text"),
            (json!({"model": ["a"], "input": 1}), "a text"),
            (json!({"object": "ember/7.png"}), "s3://bucket/key"),
            (json!({"object": "s3://ember/"}), "s3://bucket/key"),
            (json!({"object": "s3://ember/a", "input": 1}), "beside"),
        ] {
            let error = read(request).unwrap_err();
            assert!(error.is_final());
            assert!(format!("{error:?}").contains(part), "{error:?}");
        }
    }
}
