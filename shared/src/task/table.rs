//! Tables: rows as lists or as objects by feature name, to the tensors that the features feed.

use serde_json::{Map, Value};
use tract_core::prelude::Tensor;

use super::InputError;
use super::elements::{Elements, describe, expected};
use crate::model::{Feature, Manifest};

/// How alike two names must be for one to be suggested for the other, from 0 to 1.
const SUGGESTION: f64 = 0.7;

/// Reads one row or many as the model's inputs; answers whether there were many.
///
/// # Errors
/// A row with too few or too many values, an unknown feature, or a value that is none of its feature's.
pub(super) fn read(value: &Value, manifest: &Manifest) -> Result<(Vec<Tensor>, bool), InputError> {
    let (rows, many) = rows(value);
    let targets = targets(manifest)?;
    let mut columns: Vec<_> =
        manifest.inputs.iter().map(|input| Elements::with_capacity(input.dtype, rows.len())).collect();
    for (index, row) in rows.iter().enumerate() {
        let row = Row::read(row, index, &manifest.features)?;
        for (position, (feature, &target)) in manifest.features.iter().zip(&targets).enumerate() {
            let value = row.value(position, feature);
            let dtype = manifest.inputs[target].dtype;
            if let Some(expected) = refused_choice(feature, value) {
                return Err(wrong_value(feature, index, expected, value));
            }
            if !columns[target].push(value) {
                return Err(wrong_value(feature, index, format!("{dtype}: {}", expected(dtype)), value));
            }
        }
    }
    let tensors = columns.into_iter().zip(&manifest.inputs).map(|(elements, input)| {
        let mut shape = vec![rows.len()];
        if input.shape.len() > 1 {
            shape.push(elements.len() / rows.len().max(1));
        }
        elements.into_tensor(&shape).map_err(|got| InputError::Shape {
            input: input.name.clone(),
            expected: input.shape_text(),
            got,
        })
    });
    Ok((tensors.collect::<Result<_, _>>()?, many))
}

/// The rows of a request, and whether it holds a list of them.
fn rows(value: &Value) -> (&[Value], bool) {
    match value {
        Value::Array(list) if matches!(list.first(), Some(Value::Array(_) | Value::Object(_))) => (list, true),
        row => (std::slice::from_ref(row), false),
    }
}

/// The index of the input that each feature feeds.
fn targets(manifest: &Manifest) -> Result<Vec<usize>, InputError> {
    let target = |feature: &Feature| {
        manifest
            .inputs
            .iter()
            .position(|input| input.name == feature.input)
            .ok_or_else(|| InputError::MissingInput(feature.input.clone()))
    };
    manifest.features.iter().map(target).collect()
}

/// One row, complete and without a stranger.
enum Row<'a> {
    List(&'a [Value]),
    Object(&'a Map<String, Value>),
}

impl<'a> Row<'a> {
    fn read(row: &'a Value, index: usize, features: &[Feature]) -> Result<Self, InputError> {
        match row {
            Value::Array(values) if values.len() == features.len() => Ok(Self::List(values)),
            Value::Object(values) => {
                if let Some(stranger) = values.keys().find(|name| !features.iter().any(|known| known.name == **name)) {
                    return Err(InputError::UnknownFeature {
                        feature: stranger.clone(),
                        suggestion: nearest(stranger, features),
                    });
                }
                let missing: Vec<_> = features
                    .iter()
                    .filter(|feature| !values.contains_key(&feature.name))
                    .map(|feature| feature.name.clone())
                    .collect();
                if missing.is_empty() {
                    Ok(Self::Object(values))
                } else {
                    Err(InputError::MissingFeature { row: index, missing })
                }
            }
            other => Err(InputError::Row {
                row: index,
                expected: format!("a list of {} values, or an object by feature name", features.len()),
                got: describe(other),
            }),
        }
    }

    fn value(&self, position: usize, feature: &Feature) -> &'a Value {
        match self {
            Self::List(values) => &values[position],
            Self::Object(values) => values.get(&feature.name).unwrap_or(&Value::Null),
        }
    }
}

fn refused_choice(feature: &Feature, value: &Value) -> Option<String> {
    if feature.choices.is_empty() {
        return None;
    }
    let known = match value {
        Value::String(text) => feature.choices.contains_key(text),
        other => feature.choices.contains_key(&other.to_string()),
    };
    let choices = || feature.choices.keys().cloned().collect::<Vec<_>>().join(", ");
    (!known).then(|| format!("one of {}", choices()))
}

fn wrong_value(feature: &Feature, row: usize, expected: String, value: &Value) -> InputError {
    InputError::Feature { feature: feature.name.clone(), row, expected, got: describe(value) }
}

fn nearest(stranger: &str, features: &[Feature]) -> Option<String> {
    features
        .iter()
        .map(|feature| (strsim::jaro_winkler(stranger, &feature.name), &feature.name))
        .filter(|(likeness, _)| *likeness >= SUGGESTION)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name.clone())
}
