//! Tensors as nested JSON lists, both ways.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeSeq, Serializer};
use serde_json::Value;
use tract_core::prelude::{Datum, DatumType, Tensor};

use super::InputError;
use super::elements::{Elements, describe, expected};
use super::input::wrong_shape;
use crate::model::TensorSpec;

/// Reads nested lists as a tensor for this input, with or without the batch dimension.
///
/// Answers the tensor, and whether the batch dimension was there.
///
/// # Errors
/// Lists of unequal lengths, a wrong shape, or an element of another type.
pub fn read(value: &Value, spec: &TensorSpec) -> Result<(Tensor, bool), InputError> {
    let mut shape = nested_shape(value);
    let batched = shape.len() == spec.shape.len();
    if !batched {
        shape.insert(0, 1);
    }
    if !spec.accepts(&shape) {
        return Err(wrong_shape(spec, &nested_shape(value)));
    }
    let mut elements = Elements::with_capacity(spec.dtype, shape.iter().product());
    let depths = if batched { &shape[..] } else { &shape[1..] };
    collect(value, depths, spec, &mut elements)?;
    let tensor = elements.into_tensor(&shape).map_err(|got| InputError::Shape {
        input: spec.name.clone(),
        expected: spec.shape_text(),
        got,
    })?;
    Ok((tensor, batched))
}

/// The shape that the first element of each list has.
fn nested_shape(mut value: &Value) -> Vec<usize> {
    let mut shape = Vec::new();
    while let Value::Array(list) = value {
        shape.push(list.len());
        match list.first() {
            Some(first) => value = first,
            None => break,
        }
    }
    shape
}

fn collect(value: &Value, shape: &[usize], spec: &TensorSpec, elements: &mut Elements) -> Result<(), InputError> {
    let Some((&size, inner)) = shape.split_first() else {
        if elements.push(value) {
            return Ok(());
        }
        return Err(InputError::Dtype {
            input: spec.name.clone(),
            expected: format!("{}: {}", spec.dtype, expected(spec.dtype)),
            got: format!("{} as element {}", describe(value), elements.len()),
        });
    };
    match value {
        Value::Array(list) if list.len() == size => {
            list.iter().try_for_each(|value| collect(value, inner, spec, elements))
        }
        other => Err(InputError::Shape {
            input: spec.name.clone(),
            expected: format!("{}, every list as long as its neighbours ({size})", spec.shape_text()),
            got: describe(other),
        }),
    }
}

/// A tensor, or one row of it, that is written as nested JSON lists; a scalar as its one value.
#[derive(Clone, Debug)]
pub struct Nested {
    tensor: Arc<Tensor>,
    row: Option<usize>,
}

impl Nested {
    /// The whole tensor.
    pub fn whole(tensor: Arc<Tensor>) -> Self {
        Self { tensor, row: None }
    }

    /// One index of the first dimension.
    pub fn row(tensor: Arc<Tensor>, row: usize) -> Self {
        Self { tensor, row: Some(row) }
    }
}

impl Serialize for Nested {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        with_elements(&self.tensor, Shaped { shape: self.tensor.shape(), row: self.row }, serializer)
    }
}

/// A tensor's elements as one flat JSON list.
#[derive(Clone, Debug)]
pub struct Flat(pub Arc<Tensor>);

impl Serialize for Flat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        with_elements(&self.0, Shaped { shape: &[self.0.len()], row: None }, serializer)
    }
}

struct Shaped<'a> {
    shape: &'a [usize],
    row: Option<usize>,
}

fn with_elements<S: Serializer>(tensor: &Tensor, shaped: Shaped<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    match tensor.datum_type() {
        DatumType::Bool => write::<bool, S>(tensor, shaped, serializer),
        DatumType::U8 => write::<u8, S>(tensor, shaped, serializer),
        DatumType::U16 => write::<u16, S>(tensor, shaped, serializer),
        DatumType::U32 => write::<u32, S>(tensor, shaped, serializer),
        DatumType::U64 => write::<u64, S>(tensor, shaped, serializer),
        DatumType::I8 => write::<i8, S>(tensor, shaped, serializer),
        DatumType::I16 => write::<i16, S>(tensor, shaped, serializer),
        DatumType::I32 => write::<i32, S>(tensor, shaped, serializer),
        DatumType::I64 => write::<i64, S>(tensor, shaped, serializer),
        DatumType::F32 => write::<f32, S>(tensor, shaped, serializer),
        DatumType::F64 => write::<f64, S>(tensor, shaped, serializer),
        DatumType::String => write::<String, S>(tensor, shaped, serializer),
        DatumType::F16 => {
            let wide = tensor.cast_to::<f32>().map_err(serde::ser::Error::custom)?;
            write::<f32, S>(&wide, shaped, serializer)
        }
        other => Err(serde::ser::Error::custom(format!("elements of type {other:?} have no JSON form"))),
    }
}

fn write<T: Datum + Serialize, S: Serializer>(
    tensor: &Tensor,
    shaped: Shaped<'_>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let view = tensor.try_as_plain_ram().map_err(serde::ser::Error::custom)?;
    let elements = view.as_slice::<T>().map_err(serde::ser::Error::custom)?;
    let (shape, elements) = match (shaped.row, shaped.shape.split_first()) {
        (Some(row), Some((_, inner))) => {
            let size: usize = inner.iter().product();
            let elements = elements.get(row * size..(row + 1) * size);
            (inner, elements.ok_or_else(|| serde::ser::Error::custom("the tensor has no such row"))?)
        }
        _ => (shaped.shape, elements),
    };
    Lists { shape, elements }.serialize(serializer)
}

struct Lists<'a, T> {
    shape: &'a [usize],
    elements: &'a [T],
}

impl<T: Serialize> Serialize for Lists<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some((&size, inner)) = self.shape.split_first() else {
            return match self.elements.first() {
                Some(element) => element.serialize(serializer),
                None => serializer.serialize_unit(),
            };
        };
        let mut list = serializer.serialize_seq(Some(size))?;
        let step: usize = inner.iter().product();
        for index in 0..size {
            let elements = &self.elements[index * step..(index + 1) * step];
            list.serialize_element(&Lists { shape: inner, elements })?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use half::f16;
    use serde_json::json;

    use super::*;
    use crate::model::{Dim, Dtype};

    fn spec(dtype: Dtype) -> TensorSpec {
        let shape = vec![Dim::Symbol("N".into()), Dim::Fixed(2)];
        TensorSpec { name: "x".into(), dtype, shape, role: None }
    }

    #[test]
    fn a_row_and_a_batch_are_told_apart() {
        let (row, batched) = read(&json!([1, 2]), &spec(Dtype::Fp32)).unwrap();
        assert_eq!((row.shape(), batched), (&[1, 2][..], false));
        let (rows, batched) = read(&json!([[1, 2], [3, null]]), &spec(Dtype::Fp32)).unwrap();
        assert_eq!((rows.shape(), batched), (&[2, 2][..], true));
    }

    #[test]
    fn what_a_tensor_writes_reads_back() {
        for (dtype, value) in [
            (Dtype::Bool, json!([[true, false]])),
            (Dtype::Uint64, json!([[0, u64::MAX]])),
            (Dtype::Int64, json!([[i64::MIN, i64::MAX]])),
            (Dtype::Fp16, json!([[0.5, -2.0]])),
            (Dtype::Fp64, json!([[0.1, 1e300]])),
            (Dtype::Bytes, json!([["é", ""]])),
        ] {
            let (tensor, _) = read(&value, &spec(dtype)).unwrap();
            assert_eq!(serde_json::to_value(Nested::whole(tensor.into())).unwrap(), value, "{dtype}");
        }
    }

    #[test]
    fn floats_are_written_in_their_own_precision() {
        let (tensor, _) = read(&json!([[0.1, 0.7]]), &spec(Dtype::Fp32)).unwrap();
        assert_eq!(serde_json::to_string(&Nested::whole(tensor.into())).unwrap(), "[[0.1,0.7]]");
    }

    #[test]
    fn wrong_shapes_and_types_say_what_was_expected() {
        for (value, text) in [
            (json!([1, 2, 3]), "expected [N, 2], got [3]"),
            (json!([[1, 2], [3]]), "every list as long as its neighbours (2), got a list of 1"),
            (json!(5), "expected [N, 2], got []"),
            (json!([1.5, 2]), "expected INT8: a whole number in the type's range, got 1.5 as element 0"),
            (json!([1, 300]), "got 300 as element 1"),
            (json!(["a", 1]), "got the text \"a\" as element 0"),
            (json!([[[1, 2]]]), "expected [N, 2], got [1, 1, 2]"),
        ] {
            let error = read(&value, &spec(Dtype::Int8)).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn half_precision_has_a_json_form() {
        let tensor = tract_core::prelude::tensor1(&[f16::from_f32(0.5)]);
        assert_eq!(serde_json::to_string(&Flat(tensor.into())).unwrap(), "[0.5]");
    }
}
