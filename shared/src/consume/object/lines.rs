//! JSON Lines: the body of a request on each line.

use serde_json::{Map, Value};

use super::Line;
use crate::api::ApiError;
use crate::api::jobs::Content;
use crate::model::ModelName;

/// The requests of an object. Empty lines are left out; they count.
pub(super) fn requests<'a>(bytes: &'a [u8], model: &'a ModelName) -> impl Iterator<Item = Line> + Send + 'a {
    let lines = bytes.split(|&byte| byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    lines.map(|(index, line)| Line { number: index + 1, content: request(line, model) })
}

fn request(line: &[u8], model: &ModelName) -> Result<Content, ApiError> {
    let mut fields: Map<String, Value> =
        serde_json::from_slice(line).map_err(|error| ApiError::malformed_json(&error))?;
    match fields.remove("model") {
        Some(other) if other != model.as_str() => {
            Err(ApiError::bad_request(format!("this object is for model {model:?}, got {other}")))
        }
        _ => Ok(Content::Fields(fields)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_and_their_errors() {
        let model = "digits".parse().unwrap();
        let lines =
            requests(b"{\"input\": 1}\r\n\n{\"model\": \"digits\", \"input\": 2}\n[\n{\"model\": \"x\"}", &model);
        let told: Vec<_> = lines.map(|line| (line.number, line.content.is_ok())).collect();
        assert_eq!(told, [(1, true), (3, true), (4, false), (5, false)]);
    }
}
