//! An inference response: JSON, and the binary tensors that may follow it.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tract_core::prelude::Tensor;

use super::request::Fields;
use super::{HEADER_LENGTH, VERSION};
use crate::api::ApiError;
use crate::api::body::json_response;
use crate::model::{Dtype, Manifest};
use crate::task::json::Flat;

/// The outputs that a request asks for, each with the form it wants.
#[derive(Debug)]
pub(super) struct Wanted(Vec<(usize, Form)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Binary,
}

#[derive(Serialize)]
struct Body<'a> {
    model_name: &'a str,
    model_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Vec<Output<'a>>,
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'a str,
    datatype: Dtype,
    shape: &'a [usize],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinarySize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Flat>,
}

#[derive(Serialize)]
struct BinarySize {
    binary_data_size: usize,
}

impl Wanted {
    /// Reads what a request wants; all outputs where it names none.
    ///
    /// # Errors
    /// An output the model does not have, or the classification extension, which is not supported.
    pub(super) fn new(fields: &Fields, manifest: &Manifest) -> Result<Self, ApiError> {
        let usual = form(fields.parameters.binary_data_output.unwrap_or(false));
        let Some(outputs) = fields.outputs.as_ref().filter(|outputs| !outputs.is_empty()) else {
            return Ok(Self((0..manifest.outputs.len()).map(|position| (position, usual)).collect()));
        };
        let wanted = outputs.iter().map(|output| {
            if output.parameters.classification.is_some() {
                return Err(ApiError::bad_request("the classification extension is not supported"));
            }
            let position = manifest.outputs.iter().position(|spec| spec.name == output.name).ok_or_else(|| {
                let known: Vec<_> = manifest.outputs.iter().map(|spec| spec.name.as_str()).collect();
                ApiError::bad_request(format!(
                    "this model has no output {:?}; it has {}",
                    output.name,
                    known.join(", ")
                ))
            })?;
            Ok((position, output.parameters.binary_data.map_or(usual, form)))
        });
        wanted.collect::<Result<_, _>>().map(Self)
    }

    /// The response that holds them.
    ///
    /// # Errors
    /// An output that has no binary form.
    pub(super) fn respond(
        &self,
        id: Option<&str>,
        manifest: &Manifest,
        tensors: &[Arc<Tensor>],
    ) -> Result<Response, ApiError> {
        let mut binary = Vec::new();
        let mut outputs = Vec::with_capacity(self.0.len());
        for &(position, form) in &self.0 {
            let (spec, tensor) = (&manifest.outputs[position], &tensors[position]);
            let (parameters, data) = match form {
                Form::Json => (None, Some(Flat(Arc::clone(tensor)))),
                Form::Binary => {
                    let start = binary.len();
                    append(tensor, &mut binary)?;
                    (Some(BinarySize { binary_data_size: binary.len() - start }), None)
                }
            };
            outputs.push(Output { name: &spec.name, datatype: spec.dtype, shape: tensor.shape(), parameters, data });
        }
        let body = Body { model_name: manifest.name.as_str(), model_version: VERSION, id, outputs };
        if self.0.iter().all(|(_, form)| *form == Form::Json) {
            return Ok(json_response(StatusCode::OK, &body));
        }
        let mut bytes = serde_json::to_vec(&body).map_err(|error| ApiError::internal(error.to_string()))?;
        let length = HeaderValue::from(bytes.len());
        bytes.append(&mut binary);
        let content_type = HeaderValue::from_static("application/octet-stream");
        Ok(([(header::CONTENT_TYPE, content_type), (HEADER_LENGTH, length)], bytes).into_response())
    }
}

fn form(binary: bool) -> Form {
    if binary { Form::Binary } else { Form::Json }
}

/// Adds a tensor's little-endian elements; texts stand each behind its length as four bytes.
fn append(tensor: &Tensor, binary: &mut Vec<u8>) -> Result<(), ApiError> {
    let unusable = |error: tract_core::prelude::TractError| ApiError::internal(error.to_string());
    if let Ok(texts) = tensor.to_plain_array_view::<String>() {
        for text in texts {
            let length = u32::try_from(text.len()).map_err(|error| ApiError::internal(error.to_string()))?;
            binary.extend_from_slice(&length.to_le_bytes());
            binary.extend_from_slice(text.as_bytes());
        }
        return Ok(());
    }
    binary.extend_from_slice(tensor.try_as_plain_ram().map_err(unusable)?.as_bytes());
    Ok(())
}
