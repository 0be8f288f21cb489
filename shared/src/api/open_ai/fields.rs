//! The fields of a body, taken one by one: each with its type and range, and an error that names it.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::api::ApiError;

/// The fields of a body that were not taken yet. One that is null counts as absent.
#[derive(Debug)]
pub(super) struct Fields {
    fields: Map<String, Value>,
    /// Where they stand: empty, or `stream_options.`.
    path: String,
}

impl Fields {
    /// Reads a body.
    ///
    /// # Errors
    /// What is no JSON object.
    pub(super) fn read(body: &[u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(body) {
            Ok(fields) => Ok(Self { fields, path: String::new() }),
            Err(error) => Err(ApiError::malformed_json(&error)),
        }
    }

    /// A field as it is.
    pub(super) fn value(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(name, "a string", &other)),
        }
    }

    /// True or false.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.wrong_type(name, "a boolean", &other)),
        }
    }

    /// A number within a range.
    pub(super) fn number(&mut self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f32>, ApiError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number = value.as_f64().ok_or_else(|| self.wrong_type(name, "a number", &value))?;
        self.within(name, number, &range, "decimal")?;
        Ok(Some(number as f32))
    }

    /// A whole number within a range.
    pub(super) fn whole(&mut self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let whole = value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= 2_f64.powi(63));
        let number = value.as_i64().or_else(|| whole.map(|number| number as i64));
        let number = number.ok_or_else(|| self.wrong_type(name, "an integer", &value))?;
        if !range.contains(&number) {
            let range = *range.start() as f64..=*range.end() as f64;
            self.within(name, number as f64, &range, "integer")?;
        }
        Ok(Some(number))
    }

    /// An object with fields of its own.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Self { fields, path: format!("{}{name}.", self.path) })),
            Some(other) => Err(self.wrong_type(name, "an object", &other)),
        }
    }

    /// A list.
    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(other) => Err(self.wrong_type(name, "an array", &other)),
        }
    }

    /// Passes over fields that change nothing here.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        names.iter().for_each(|name| drop(self.fields.remove(*name)));
    }

    /// Refuses fields of OpenAI's that this server does nothing for.
    pub(super) fn refuse(&mut self, names: &[&str]) -> Result<(), ApiError> {
        match names.iter().find(|name| self.value(name).is_some()) {
            None => Ok(()),
            Some(name) => Err(self.unsupported(name)),
        }
    }

    /// Refuses what is left.
    pub(super) fn end(self) -> Result<(), ApiError> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(name) => {
                let message = format!("Unknown parameter: '{}{name}'.", self.path);
                Err(ApiError::parameter("unknown_parameter", self.full(name), message))
            }
        }
    }

    /// A field that this server does nothing for.
    pub(super) fn unsupported(&self, name: &str) -> ApiError {
        let message = format!("Unsupported parameter: '{}{name}' is not supported by this server.", self.path);
        ApiError::parameter("unsupported_parameter", self.full(name), message)
    }

    /// A field whose value is none of those expected.
    pub(super) fn wrong_value(&self, name: &str, expected: &str, got: &str) -> ApiError {
        let message = format!("Invalid value for '{}{name}': expected {expected}, but got {got} instead.", self.path);
        ApiError::parameter("invalid_value", self.full(name), message)
    }

    /// A field of another type.
    pub(super) fn wrong_type(&self, name: &str, expected: &str, got: &Value) -> ApiError {
        let got = kind(got);
        let message = format!("Invalid type for '{}{name}': expected {expected}, but got {got} instead.", self.path);
        ApiError::parameter("invalid_type", self.full(name), message)
    }

    fn within(&self, name: &str, number: f64, range: &RangeInclusive<f64>, kind: &str) -> Result<(), ApiError> {
        let (bound, expected, code) = match kind {
            _ if range.contains(&number) => return Ok(()),
            "integer" if number < *range.start() => (range.start(), ">=", "integer_below_min_value"),
            "integer" => (range.end(), "<=", "integer_above_max_value"),
            _ if number < *range.start() => (range.start(), ">=", "decimal_below_min_value"),
            _ => (range.end(), "<=", "decimal_above_max_value"),
        };
        let message =
            format!("Invalid '{}{name}': expected a value {expected} {bound}, but got {number} instead.", self.path);
        Err(ApiError::parameter(code, self.full(name), message))
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
