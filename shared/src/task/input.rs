//! What can be wrong with an input, said with what was expected and what came.

use std::collections::HashMap;

use tract_core::prelude::Tensor;

use crate::model::{Dim, Dtype, TensorSpec};

/// Why an input can't be given to a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum InputError {
    #[error("input {input:?} has the wrong shape: expected {expected}, got {got}")]
    Shape { input: String, expected: String, got: String },
    #[error("input {input:?} has the wrong type: expected {expected}, got {got}")]
    Dtype { input: String, expected: String, got: String },
    #[error("{feature:?} is no feature of this model{}", suggestion.as_ref().map(|near| format!("; did you mean {near:?}?")).unwrap_or_default())]
    UnknownFeature { feature: String, suggestion: Option<String> },
    #[error("row {row} is wrong: expected {expected}, got {got}")]
    Row { row: usize, expected: String, got: String },
    #[error("row {row} lacks {}", list(missing))]
    MissingFeature { row: usize, missing: Vec<String> },
    #[error("feature {feature:?} of row {row} is wrong: expected {expected}, got {got}")]
    Feature { feature: String, row: usize, expected: String, got: String },
    #[error("the image can't be used: {0}")]
    Image(String),
    #[error("this model takes no image: expected {expected}")]
    NotAnImageModel { expected: String },
    #[error("the table has no column {expected:?}: it has {}", list(got))]
    MissingColumn { expected: &'static str, got: Vec<String> },
    #[error("input {0:?} is missing")]
    MissingInput(String),
    #[error("this model has no input {input:?}; it has {}", list(known))]
    UnknownInput { input: String, known: Vec<String> },
    #[error("dimension {symbol} is {first} in input {first_input:?} and {second} in input {second_input:?}")]
    Symbols { symbol: String, first_input: String, first: usize, second_input: String, second: usize },
}

impl InputError {
    /// What was expected and what came, where that is all there is to say.
    pub fn expected_and_got(&self) -> Option<(&str, &str)> {
        match self {
            Self::Shape { expected, got, .. }
            | Self::Dtype { expected, got, .. }
            | Self::Row { expected, got, .. }
            | Self::Feature { expected, got, .. } => Some((expected, got)),
            _ => None,
        }
    }
}

/// Whether tensors can be given to a model's inputs: types, shapes, and equal symbols of equal lengths.
///
/// # Errors
/// [`InputError::Dtype`], [`InputError::Shape`] or [`InputError::Symbols`], for the first tensor that can't.
pub fn check(tensors: &[Tensor], specs: &[TensorSpec]) -> Result<(), InputError> {
    let mut symbols: HashMap<&str, (&TensorSpec, usize)> = HashMap::new();
    for (tensor, spec) in tensors.iter().zip(specs) {
        if tensor.datum_type() != spec.dtype.datum_type() {
            let got = Dtype::from_datum_type(tensor.datum_type()).map_or("an unknown type", Dtype::name);
            return Err(wrong_dtype(spec, got));
        }
        if !spec.accepts(tensor.shape()) {
            return Err(wrong_shape(spec, tensor.shape()));
        }
        for (dim, &size) in spec.shape.iter().zip(tensor.shape()) {
            let Dim::Symbol(symbol) = dim else { continue };
            let (first_spec, first) = *symbols.entry(symbol).or_insert((spec, size));
            if first != size {
                return Err(InputError::Symbols {
                    symbol: symbol.clone(),
                    first_input: first_spec.name.clone(),
                    first,
                    second_input: spec.name.clone(),
                    second: size,
                });
            }
        }
    }
    Ok(())
}

/// A type that is not the input's.
pub(crate) fn wrong_dtype(spec: &TensorSpec, got: &str) -> InputError {
    InputError::Dtype { input: spec.name.clone(), expected: spec.dtype.to_string(), got: got.to_owned() }
}

/// A shape that does not fit an input.
pub(crate) fn wrong_shape(spec: &TensorSpec, got: &[usize]) -> InputError {
    InputError::Shape { input: spec.name.clone(), expected: spec.shape_text(), got: format!("{got:?}") }
}

fn list(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
    quoted.join(", ")
}
