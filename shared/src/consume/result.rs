//! A result on its way out: a line of JSON or several, named by what was asked.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api::ApiError;
use crate::api::jobs::Done;
use crate::events::Fields;
use crate::model::{Digest, ModelName, Task};

/// What comes of a request.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// The digest of what was asked: of task, model and input, whichever package answers.
    pub(super) digest: Digest,
    /// The key of the object it becomes, relative to the place for results.
    pub(super) key: String,
    /// JSON Lines.
    pub(super) lines: Bytes,
    /// What is said of it where its lines are too many for a message; without them.
    pub(super) summary: Summary,
}

/// Where what was asked came from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// The message itself.
    Fields(Fields),
    /// An object, of which `name` is what its results are called by.
    Object { url: String, name: String, content: Bytes },
}

/// What is said of a result beside its answer.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    pub(super) task: Option<Task>,
    pub(super) model: ModelName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) package: Option<Digest>,
    /// The object that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) object: Option<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    answer: &'a RawValue,
}

#[derive(Serialize)]
struct Pointer<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    result: String,
}

impl Outcome {
    /// The answer to a request: one line.
    ///
    /// # Errors
    /// An answer that can't be written.
    pub(super) fn of(id: Option<String>, origin: Origin, done: Done) -> Result<Self, ApiError> {
        let Done { task, model, package, answer } = done;
        let digest = |input: &[u8]| digest(id.as_deref(), Some(task), &model, input);
        let (digest, key, object) = match origin {
            Origin::Fields(fields) => {
                let mut input = Value::Object(fields);
                input.sort_all_objects();
                let digest = digest(input.to_string().as_bytes());
                (digest, format!("{model}/{digest}.jsonl"), None)
            }
            Origin::Object { url, name, content } => {
                let digest = digest(&content);
                (digest, format!("{model}/{name}/{digest}.jsonl"), Some(url))
            }
        };
        let summary = Summary { id, task: Some(task), model, package: Some(package), object };
        let mut lines = json(&Line { summary: &summary, answer: &answer })?;
        lines.push(b'\n');
        Ok(Self { digest, key, lines: lines.into(), summary })
    }

    /// What is said of it where it lies in a bucket, at this URL.
    ///
    /// # Errors
    /// A text that can't be written.
    pub(super) fn pointer(&self, result: String) -> Result<Vec<u8>, ApiError> {
        json(&Pointer { summary: &self.summary, result })
    }
}

/// The digest of what is asked. Parts are told apart by their lengths.
pub(super) fn digest(id: Option<&str>, task: Option<Task>, model: &ModelName, input: &[u8]) -> Digest {
    let task = task.map(|task| task.to_string());
    let mut hasher = blake3::Hasher::new();
    for part in [id.unwrap_or_default(), task.as_deref().unwrap_or_default(), model.as_str()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.update(input);
    hasher.finalize().into()
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|error| ApiError::internal(format!("the result can't be written: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(id: Option<&str>, request: &str, package: &str) -> Outcome {
        let done = Done {
            task: Task::Predict,
            model: "digits".parse().unwrap(),
            package: Digest::of(package.as_bytes()),
            answer: serde_json::value::to_raw_value(&json!({"predicted_label": "7"})).unwrap(),
        };
        let origin = Origin::Fields(serde_json::from_str(request).unwrap());
        Outcome::of(id.map(str::to_owned), origin, done).unwrap()
    }

    #[test]
    fn a_result_is_named_by_what_was_asked_and_not_by_who_answered() {
        let one = outcome(None, r#"{"input": {"a": 1, "b": 2}}"#, "one");
        let other = outcome(None, r#"{ "input": {"b": 2, "a": 1} }"#, "other");
        assert_eq!(one.key, other.key);
        assert_eq!(one.key, format!("digits/{}.jsonl", one.digest));
        for different in [
            outcome(None, r#"{"input": {"a": 2, "b": 2}}"#, "one"),
            outcome(Some("7"), r#"{"input": {"a": 1, "b": 2}}"#, "one"),
        ] {
            assert_ne!(one.key, different.key);
        }
    }

    #[test]
    fn a_result_is_a_line_that_says_what_it_is_of() {
        let outcome = outcome(Some("7"), r#"{"input": [1]}"#, "one");
        let line: Value = serde_json::from_slice(&outcome.lines).unwrap();
        let package = Digest::of(b"one").to_string();
        let expected = json!({"id": "7", "task": "predict", "model": "digits", "package": package,
            "answer": {"predicted_label": "7"}});
        assert_eq!(line, expected);
        assert!(outcome.lines.ends_with(b"}\n"));
    }
}
