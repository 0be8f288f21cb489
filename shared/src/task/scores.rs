//! Outputs as people read them: one prediction per row, with its label and its probabilities.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};
use tract_core::prelude::Tensor;

use super::json::Nested;
use crate::model::{Manifest, Role, TensorSpec};

/// The answer for one row.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The predicted class.
    pub label: Option<String>,
    /// Every class with its probability, in the manifest's order.
    pub probabilities: Vec<(String, f32)>,
    /// Every output of the graph.
    pub outputs: Vec<(String, Nested)>,
}

impl Serialize for Prediction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write_fields(&mut map)?;
        map.end()
    }
}

impl Prediction {
    /// Adds the prediction's fields to an object that is being written.
    pub(crate) fn write_fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        if let Some(label) = &self.label {
            map.serialize_entry("predicted_label", label)?;
        }
        if !self.probabilities.is_empty() {
            map.serialize_entry("probabilities", &Pairs(&self.probabilities))?;
        }
        map.serialize_entry("outputs", &Pairs(&self.outputs))
    }
}

struct Pairs<'a, T>(&'a [(String, T)]);

impl<T: Serialize> Serialize for Pairs<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// The predictions that a model's outputs hold, a row each.
pub(super) fn read(manifest: &Manifest, outputs: &[Arc<Tensor>], rows: usize) -> Vec<Prediction> {
    let with_role = |role: Role| {
        let named = manifest.outputs.iter().zip(outputs);
        named.filter(move |(spec, _)| spec.role == Some(role)).map(|(_, tensor)| tensor).next()
    };
    let numbers = |role: Role| with_role(role)?.cast_to::<f32>().ok();
    let (probabilities, logits) = (numbers(Role::Probabilities), numbers(Role::Logits));
    let labels = with_role(Role::Label);
    let classes = manifest.labels.len();
    let prediction = |row: usize| {
        let probabilities = match (&probabilities, &logits) {
            (Some(probabilities), _) => complete(row_of(probabilities, row, rows).to_vec(), classes),
            (None, Some(logits)) => from_logits(row_of(logits, row, rows), classes),
            (None, None) => Vec::new(),
        };
        let label = labels
            .and_then(|labels| label_of(manifest, labels, row))
            .or_else(|| greatest(&probabilities).map(|class| class_name(manifest, class)));
        Prediction {
            label,
            probabilities: probabilities
                .into_iter()
                .enumerate()
                .map(|(class, value)| (class_name(manifest, class), value))
                .collect(),
            outputs: manifest
                .outputs
                .iter()
                .zip(outputs)
                .map(|(spec, tensor)| output(spec, tensor, row, rows))
                .collect(),
        }
    };
    (0..rows).map(prediction).collect()
}

fn output(spec: &TensorSpec, tensor: &Arc<Tensor>, row: usize, rows: usize) -> (String, Nested) {
    let has_row = tensor.shape().first() == Some(&rows);
    let nested = if has_row { Nested::row(Arc::clone(tensor), row) } else { Nested::whole(Arc::clone(tensor)) };
    (spec.name.clone(), nested)
}

/// The numbers of one row.
fn row_of(tensor: &Tensor, row: usize, rows: usize) -> &[f32] {
    let elements = tensor.as_plain_ram().and_then(|view| view.as_slice::<f32>().ok()).unwrap_or_default();
    let width = elements.len() / rows.max(1);
    elements.get(row * width..(row + 1) * width).unwrap_or_default()
}

/// One probability of two classes is that of the second.
fn complete(probabilities: Vec<f32>, classes: usize) -> Vec<f32> {
    match probabilities[..] {
        [second] if classes == 2 => vec![1.0 - second, second],
        _ => probabilities,
    }
}

fn from_logits(logits: &[f32], classes: usize) -> Vec<f32> {
    match *logits {
        [logit] => complete(vec![logistic(logit)], classes),
        _ => softmax(logits),
    }
}

/// The logistic function.
pub(super) fn logistic(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

pub(super) fn softmax(logits: &[f32]) -> Vec<f32> {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<_> = logits.iter().map(|logit| (logit - greatest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

fn greatest(probabilities: &[f32]) -> Option<usize> {
    let indexed = probabilities.iter().enumerate();
    indexed
        .filter(|(_, value)| !value.is_nan())
        .max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)))
        .map(|(class, _)| class)
}

fn class_name(manifest: &Manifest, class: usize) -> String {
    manifest.labels.get(class).cloned().unwrap_or_else(|| class.to_string())
}

/// The label an output names: by its text, or by a number that is itself a label or the index of one.
fn label_of(manifest: &Manifest, tensor: &Tensor, row: usize) -> Option<String> {
    if let Ok(texts) = tensor.to_plain_array_view::<String>() {
        return texts.iter().nth(row).cloned();
    }
    let numbers = tensor.cast_to::<i64>().ok()?;
    let class = *numbers.try_as_plain_ram().ok()?.as_slice::<i64>().ok()?.get(row)?;
    let text = class.to_string();
    if manifest.labels.contains(&text) {
        return Some(text);
    }
    usize::try_from(class).ok().and_then(|class| manifest.labels.get(class).cloned()).or(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_logit_of_two_classes_is_that_of_the_second() {
        assert_eq!(from_logits(&[0.0], 2), [0.5, 0.5]);
        assert!(from_logits(&[4.0], 2)[1] > 0.98);
    }

    #[test]
    fn softmax_holds_for_large_logits() {
        assert_eq!(from_logits(&[1000.0, 1000.0, -1000.0], 3), [0.5, 0.5, 0.0]);
    }

    #[test]
    fn of_equal_probabilities_the_first_class_wins() {
        assert_eq!(greatest(&[0.2, 0.4, 0.4]), Some(1));
        assert_eq!(greatest(&[f32::NAN, 0.1]), Some(1));
        assert_eq!(greatest(&[]), None);
    }
}
