//! Tensors of a request: from JSON lists, or from binary data.

use serde_json::Value;
use tract_core::prelude::Tensor;

use super::request::{Input, Request};
use crate::api::ApiError;
use crate::engine::tensor::{from_bytes, from_vec};
use crate::model::{Dtype, Manifest, TensorSpec};
use crate::task::elements::{Elements, describe, expected};
use crate::task::{InputError, wrong_dtype, wrong_shape};

/// The model's inputs, in the manifest's order.
///
/// # Errors
/// An input that is missing, unknown, repeated, or not what it says.
pub(super) fn read(request: &Request, manifest: &Manifest) -> Result<Vec<Tensor>, ApiError> {
    let mut binary = &request.binary[..];
    let mut found: Vec<Option<Tensor>> = manifest.inputs.iter().map(|_| None).collect();
    for input in &request.fields.inputs {
        let data = take_data(input, &mut binary)?;
        let position = manifest.inputs.iter().position(|spec| spec.name == input.name).ok_or_else(|| {
            let known = manifest.inputs.iter().map(|spec| spec.name.clone()).collect();
            InputError::UnknownInput { input: input.name.clone(), known }
        })?;
        let tensor = read_tensor(input, &data, &manifest.inputs[position])?;
        if found[position].replace(tensor).is_some() {
            return Err(ApiError::bad_request(format!("input {:?} is given twice", input.name)));
        }
    }
    if !binary.is_empty() {
        return Err(ApiError::bad_request(format!("{} bytes follow the last binary tensor", binary.len())));
    }
    let complete = found.into_iter().zip(&manifest.inputs);
    complete.map(|(tensor, spec)| tensor.ok_or_else(|| InputError::MissingInput(spec.name.clone()).into())).collect()
}

enum Data<'a> {
    Json(&'a Value),
    Binary(&'a [u8]),
}

/// The data of an input; binary data is taken off the front of what is left of it.
fn take_data<'a>(input: &'a Input, binary: &mut &'a [u8]) -> Result<Data<'a>, ApiError> {
    let name = &input.name;
    match (&input.data, input.parameters.binary_data_size) {
        (Some(data), None) => Ok(Data::Json(data)),
        (None, Some(size)) => {
            let Some((data, rest)) = binary.split_at_checked(size) else {
                let left = binary.len();
                return Err(ApiError::bad_request(format!(
                    "input {name:?} has too little binary data: expected {size} bytes, got {left}"
                )));
            };
            *binary = rest;
            Ok(Data::Binary(data))
        }
        (Some(_), Some(_)) => Err(ApiError::bad_request(format!("input {name:?} has both data and binary_data_size"))),
        (None, None) => Err(ApiError::bad_request(format!("input {name:?} has neither data nor binary_data_size"))),
    }
}

fn read_tensor(input: &Input, data: &Data<'_>, spec: &TensorSpec) -> Result<Tensor, ApiError> {
    let Some(dtype) = Dtype::from_name(&input.datatype).filter(|dtype| *dtype == spec.dtype) else {
        return Err(wrong_dtype(spec, &input.datatype).into());
    };
    if !spec.accepts(&input.shape) {
        return Err(wrong_shape(spec, &input.shape).into());
    }
    let volume = input.shape.iter().try_fold(1usize, |volume, &size| volume.checked_mul(size));
    let wrong_length = |unit: &str, got: usize| {
        let expected = format!("{} {unit} for the shape {:?}", volume.map_or(0, |volume| volume), input.shape);
        InputError::Shape { input: input.name.clone(), expected, got: format!("{got} {unit}") }
    };
    match data {
        Data::Json(value) => {
            let mut elements = Elements::with_capacity(dtype, 0);
            collect(value, dtype, &mut elements, input)?;
            if Some(elements.len()) != volume {
                return Err(wrong_length("elements", elements.len()).into());
            }
            elements.into_tensor(&input.shape).map_err(ApiError::internal)
        }
        Data::Binary(bytes) if dtype == Dtype::Bytes => {
            let texts = read_texts(bytes, &input.name)?;
            if Some(texts.len()) != volume {
                return Err(wrong_length("elements", texts.len()).into());
            }
            from_vec(&input.shape, texts).map_err(ApiError::internal)
        }
        Data::Binary(bytes) => from_bytes(dtype.datum_type(), &input.shape, bytes).map_err(|reason| {
            ApiError::bad_request(format!("the binary data of input {:?} is wrong: {reason}", input.name))
        }),
    }
}

/// Elements of flat or nested lists, in row-major order.
fn collect(value: &Value, dtype: Dtype, elements: &mut Elements, input: &Input) -> Result<(), InputError> {
    if let Value::Array(list) = value {
        return list.iter().try_for_each(|value| collect(value, dtype, elements, input));
    }
    if elements.push(value) {
        return Ok(());
    }
    Err(InputError::Dtype {
        input: input.name.clone(),
        expected: format!("{dtype}: {}", expected(dtype)),
        got: format!("{} as element {}", describe(value), elements.len()),
    })
}

/// Texts, each behind its length as four little-endian bytes.
fn read_texts(mut bytes: &[u8], input: &str) -> Result<Vec<String>, ApiError> {
    let wrong = |what: &str| ApiError::bad_request(format!("the binary data of input {input:?} is wrong: {what}"));
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| wrong("a text's length is cut off"))?;
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (text, rest) = rest.split_at_checked(length).ok_or_else(|| wrong("a text is cut off"))?;
        texts.push(String::from_utf8(text.to_vec()).map_err(|_| wrong("a text is not UTF-8"))?);
        bytes = rest;
    }
    Ok(texts)
}
