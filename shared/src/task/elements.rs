//! Elements of a tensor, gathered one JSON value at a time.

use half::f16;
use serde_json::Value;
use tract_core::prelude::Tensor;

use crate::engine::tensor::from_vec;
use crate::model::Dtype;

/// Elements of one type, in row-major order.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Elements {
    Bool(Vec<bool>),
    Uint8(Vec<u8>),
    Uint16(Vec<u16>),
    Uint32(Vec<u32>),
    Uint64(Vec<u64>),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Fp16(Vec<f16>),
    Fp32(Vec<f32>),
    Fp64(Vec<f64>),
    Bytes(Vec<String>),
}

macro_rules! for_each_type {
    ($elements:expr, $vec:ident => $body:expr) => {
        match $elements {
            Elements::Bool($vec) => $body,
            Elements::Uint8($vec) => $body,
            Elements::Uint16($vec) => $body,
            Elements::Uint32($vec) => $body,
            Elements::Uint64($vec) => $body,
            Elements::Int8($vec) => $body,
            Elements::Int16($vec) => $body,
            Elements::Int32($vec) => $body,
            Elements::Int64($vec) => $body,
            Elements::Fp16($vec) => $body,
            Elements::Fp32($vec) => $body,
            Elements::Fp64($vec) => $body,
            Elements::Bytes($vec) => $body,
        }
    };
}

impl Elements {
    /// No elements yet, room for some.
    pub fn with_capacity(dtype: Dtype, capacity: usize) -> Self {
        match dtype {
            Dtype::Bool => Self::Bool(Vec::with_capacity(capacity)),
            Dtype::Uint8 => Self::Uint8(Vec::with_capacity(capacity)),
            Dtype::Uint16 => Self::Uint16(Vec::with_capacity(capacity)),
            Dtype::Uint32 => Self::Uint32(Vec::with_capacity(capacity)),
            Dtype::Uint64 => Self::Uint64(Vec::with_capacity(capacity)),
            Dtype::Int8 => Self::Int8(Vec::with_capacity(capacity)),
            Dtype::Int16 => Self::Int16(Vec::with_capacity(capacity)),
            Dtype::Int32 => Self::Int32(Vec::with_capacity(capacity)),
            Dtype::Int64 => Self::Int64(Vec::with_capacity(capacity)),
            Dtype::Fp16 => Self::Fp16(Vec::with_capacity(capacity)),
            Dtype::Fp32 => Self::Fp32(Vec::with_capacity(capacity)),
            Dtype::Fp64 => Self::Fp64(Vec::with_capacity(capacity)),
            Dtype::Bytes => Self::Bytes(Vec::with_capacity(capacity)),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        for_each_type!(self, elements => elements.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a JSON value; answers whether it is one of the type.
    ///
    /// A number must be in the type's range; `null` stands for NaN in a float.
    #[must_use]
    pub fn push(&mut self, value: &Value) -> bool {
        fn integer<T: TryFrom<i64> + TryFrom<u64>>(value: &Value) -> Option<T> {
            if let Some(number) = value.as_u64() {
                return number.try_into().ok();
            }
            if let Some(number) = value.as_i64() {
                return number.try_into().ok();
            }
            let number = value.as_f64()?;
            (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)?.try_into().ok()
        }
        fn float(value: &Value) -> Option<f64> {
            if value.is_null() { Some(f64::NAN) } else { value.as_f64() }
        }
        fn add<T>(elements: &mut Vec<T>, element: Option<T>) -> bool {
            let is_one = element.is_some();
            elements.extend(element);
            is_one
        }
        match self {
            Self::Bool(elements) => add(elements, value.as_bool()),
            Self::Uint8(elements) => add(elements, integer(value)),
            Self::Uint16(elements) => add(elements, integer(value)),
            Self::Uint32(elements) => add(elements, integer(value)),
            Self::Uint64(elements) => add(elements, integer(value)),
            Self::Int8(elements) => add(elements, integer(value)),
            Self::Int16(elements) => add(elements, integer(value)),
            Self::Int32(elements) => add(elements, integer(value)),
            Self::Int64(elements) => add(elements, integer(value)),
            Self::Fp16(elements) => add(elements, float(value).map(f16::from_f64)),
            Self::Fp32(elements) => add(elements, float(value).map(|number| number as f32)),
            Self::Fp64(elements) => add(elements, float(value)),
            Self::Bytes(elements) => add(elements, value.as_str().map(str::to_owned)),
        }
    }

    /// The elements as a tensor.
    ///
    /// # Errors
    /// A reason, where their number is not that of the shape.
    pub fn into_tensor(self, shape: &[usize]) -> Result<Tensor, String> {
        for_each_type!(self, elements => from_vec(shape, elements))
    }
}

/// A JSON value in a few words, for an error.
pub fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.chars().count() > 32 => {
            format!("the text {:?}…", text.chars().take(32).collect::<String>())
        }
        Value::String(text) => format!("the text {text:?}"),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// What a JSON value of a type looks like, for an error.
pub fn expected(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::Bool => "true or false",
        Dtype::Uint8 | Dtype::Uint16 | Dtype::Uint32 | Dtype::Uint64 => "a whole number from 0 in the type's range",
        Dtype::Int8 | Dtype::Int16 | Dtype::Int32 | Dtype::Int64 => "a whole number in the type's range",
        Dtype::Fp16 | Dtype::Fp32 | Dtype::Fp64 => "a number, or null for a missing one",
        Dtype::Bytes => "a text",
    }
}
