//! A JSON file of settings, each read with what it may be.

use std::fs;
use std::path::{Path, PathBuf};

use emberlite::ops::Activation;
use serde_json::{Map, Value};

use super::error::FolderError;

/// Sizes beyond this are no sizes of a model.
const LARGEST: u64 = 1 << 31;

/// A JSON object from a file. A field that is `null` counts as absent.
#[derive(Clone, Debug)]
pub(in crate::import) struct Settings {
    path: PathBuf,
    values: Map<String, Value>,
}

/// The JSON of a file; none if there is no such file.
pub(in crate::import) fn json(path: &Path) -> Result<Option<Value>, FolderError> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = fs::read(path).map_err(|source| FolderError::Unreadable { path: path.to_owned(), source })?;
    let broken = |error: serde_json::Error| FolderError::Broken { path: path.to_owned(), reason: error.to_string() };
    serde_json::from_slice(&bytes).map(Some).map_err(broken)
}

impl Settings {
    /// The settings of a file; none if there is no such file.
    pub(in crate::import) fn find(path: &Path) -> Result<Option<Self>, FolderError> {
        match json(path)? {
            None => Ok(None),
            Some(Value::Object(values)) => Ok(Some(Self { path: path.to_owned(), values })),
            Some(_) => Err(FolderError::Broken { path: path.to_owned(), reason: "expected an object".to_owned() }),
        }
    }

    /// Settings that `path`, a file of another format, holds.
    pub(in crate::import) fn new(path: &Path, values: Map<String, Value>) -> Self {
        Self { path: path.to_owned(), values }
    }

    /// The settings of a file, or none at all where there is no such file.
    pub(in crate::import) fn read_or_empty(path: &Path) -> Result<Self, FolderError> {
        Ok(Self::find(path)?.unwrap_or_else(|| Self { path: path.to_owned(), values: Map::new() }))
    }

    pub(in crate::import) fn path(&self) -> &Path {
        &self.path
    }

    pub(in crate::import) fn get(&self, field: &str) -> Option<&Value> {
        self.values.get(field).filter(|value| !value.is_null())
    }

    /// Every field with its value.
    pub(in crate::import) fn fields(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.values.iter()
    }

    /// Whether a field is there and says that there is none.
    pub(in crate::import) fn is_null(&self, field: &str) -> bool {
        self.values.get(field).is_some_and(Value::is_null)
    }

    pub(in crate::import) fn text(&self, field: &str) -> Option<&str> {
        self.get(field).and_then(Value::as_str)
    }

    /// A size: a whole number from 1 on.
    pub(in crate::import) fn size(&self, field: &str) -> Result<usize, FolderError> {
        let size = self.get(field).and_then(Value::as_u64).filter(|size| (1..=LARGEST).contains(size));
        size.and_then(|size| usize::try_from(size).ok()).ok_or_else(|| self.refuse(field, "a whole number from 1 on"))
    }

    pub(in crate::import) fn size_or(&self, field: &str, default: usize) -> Result<usize, FolderError> {
        if self.get(field).is_none() { Ok(default) } else { self.size(field) }
    }

    /// A whole number, which may be 0.
    pub(in crate::import) fn count_or(&self, field: &str, default: usize) -> Result<usize, FolderError> {
        let Some(value) = self.get(field) else { return Ok(default) };
        let count = value.as_u64().filter(|count| *count <= LARGEST).and_then(|count| usize::try_from(count).ok());
        count.ok_or_else(|| self.refuse(field, "a whole number"))
    }

    /// A number above 0.
    pub(in crate::import) fn positive_or(&self, field: &str, default: f64) -> Result<f64, FolderError> {
        let number = self.number_or(field, default)?;
        if number > 0.0 { Ok(number) } else { Err(self.refuse(field, "a number above 0")) }
    }

    pub(in crate::import) fn id_or(&self, field: &str, default: i64) -> Result<i64, FolderError> {
        let Some(value) = self.get(field) else { return Ok(default) };
        value.as_i64().filter(|id| *id >= 0).ok_or_else(|| self.refuse(field, "an id of a token"))
    }

    pub(in crate::import) fn number_or(&self, field: &str, default: f64) -> Result<f64, FolderError> {
        let Some(value) = self.get(field) else { return Ok(default) };
        value.as_f64().ok_or_else(|| self.refuse(field, "a number"))
    }

    pub(in crate::import) fn flag_or(&self, field: &str, default: bool) -> Result<bool, FolderError> {
        let Some(value) = self.get(field) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.refuse(field, "true or false"))
    }

    /// An activation by the name that transformers gives it.
    pub(in crate::import) fn activation_or(&self, field: &str, default: Activation) -> Result<Activation, FolderError> {
        Ok(match self.text(field) {
            None if self.get(field).is_none() => default,
            Some("gelu" | "gelu_python") => Activation::Gelu,
            Some("gelu_new" | "gelu_fast" | "gelu_accurate" | "gelu_pytorch_tanh" | "gelu_python_tanh") => {
                Activation::GeluTanh
            }
            Some("quick_gelu") => Activation::QuickGelu,
            Some("relu") => Activation::Relu,
            Some("silu" | "swish") => Activation::Silu,
            Some("tanh") => Activation::Tanh,
            Some("sigmoid") => Activation::Sigmoid,
            _ => return Err(self.refuse(field, "gelu, gelu_new, quick_gelu, relu, silu, tanh or sigmoid")),
        })
    }

    /// Refuses a field that is there and is not `expected`.
    pub(in crate::import) fn only(&self, field: &str, expected: Value) -> Result<(), FolderError> {
        match self.get(field) {
            Some(got) if *got != expected => Err(self.refuse(field, &expected.to_string())),
            _ => Ok(()),
        }
    }

    /// The error for a field that is not as `expected`.
    pub(in crate::import) fn refuse(&self, field: &str, expected: &str) -> FolderError {
        let got = self.values.get(field).map_or_else(|| "nothing".to_owned(), Value::to_string);
        FolderError::Unsupported {
            path: self.path.clone(),
            field: field.to_owned(),
            got,
            expected: expected.to_owned(),
        }
    }
}
