//! An inference request: JSON, and the binary tensors that may follow it.

use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use super::HEADER_LENGTH;
use crate::api::ApiError;

/// A request as it came.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) fields: Fields,
    /// The binary tensors, in the order of the inputs that have them.
    pub(super) binary: Bytes,
}

#[derive(Debug, Deserialize)]
pub(super) struct Fields {
    pub(super) id: Option<String>,
    pub(super) inputs: Vec<Input>,
    pub(super) outputs: Option<Vec<Output>>,
    #[serde(default)]
    pub(super) parameters: Parameters,
}

#[derive(Debug, Deserialize)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) datatype: String,
    #[serde(default)]
    pub(super) parameters: Parameters,
    pub(super) data: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Output {
    pub(super) name: String,
    #[serde(default)]
    pub(super) parameters: Parameters,
}

/// The parameters this server knows; others may stand beside them and have no effect.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Parameters {
    pub(super) binary_data_size: Option<usize>,
    pub(super) binary_data: Option<bool>,
    pub(super) binary_data_output: Option<bool>,
    pub(super) classification: Option<Value>,
}

/// Splits a body into its JSON and what follows.
///
/// # Errors
/// JSON that is no request, or a header that gives it a wrong length.
pub(super) fn read(headers: &HeaderMap, body: &Bytes) -> Result<Request, ApiError> {
    let length = match headers.get(HEADER_LENGTH) {
        None => body.len(),
        Some(value) => {
            let length = value.to_str().ok().and_then(|text| text.parse().ok());
            length.filter(|&length: &usize| length <= body.len()).ok_or_else(|| {
                ApiError::bad_request(format!(
                    "the header Inference-Header-Content-Length is wrong: expected a number up to {}, got {value:?}",
                    body.len()
                ))
            })?
        }
    };
    let fields = serde_json::from_slice(&body[..length]).map_err(|error| ApiError::malformed_json(&error))?;
    Ok(Request { fields, binary: body.slice(length..) })
}
