//! What a model of tensors answers, as rows of numbers that can be compared.
//!
//! Probabilities or logits speak for a model that has them: its first such output, a row for each example; a single
//! probability of two classes stands with what is left of 1. Else all its numbers do, and where it has nothing but labels
//! these, which are the same or not.

use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use emberlite::engine::EngineError;
use emberlite::model::{Digest, Manifest, Problem, Role};
use tract_core::prelude::{DatumType, Tensor};

use crate::quantize::{Measure, rounded};

/// Which outputs are compared, and as what.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    outputs: Vec<usize>,
    role: Role,
    /// Whether an output's first axis counts examples, by output.
    batched: Vec<bool>,
}

impl Answers {
    pub(super) fn of(manifest: &Manifest) -> Self {
        let batched = manifest.outputs.iter().map(|output| output.is_batched()).collect();
        let of = |wanted: Role| {
            let outputs = manifest.outputs.iter().enumerate();
            outputs.filter(move |(_, output)| output.role.unwrap_or(Role::Values) == wanted).map(|(place, _)| place)
        };
        for role in [Role::Probabilities, Role::Logits] {
            if let Some(first) = of(role).next() {
                return Self { outputs: vec![first], role, batched };
            }
        }
        let values: Vec<usize> = of(Role::Values).collect();
        if values.is_empty() {
            return Self { outputs: of(Role::Label).collect(), role: Role::Label, batched };
        }
        Self { outputs: values, role: Role::Values, batched }
    }

    /// What is compared.
    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// The rows of all runs.
    ///
    /// # Errors
    /// A model that fails, or that gives nothing that can be compared.
    pub(super) fn all(
        &self,
        runs: &[Vec<Tensor>],
        run: impl Fn(Vec<Tensor>) -> Result<Vec<Arc<Tensor>>, EngineError>,
    ) -> Result<Vec<Vec<f32>>> {
        let mut rows = Vec::new();
        for inputs in runs {
            rows.extend(self.rows(&run(inputs.clone())?)?);
        }
        ensure!(rows.iter().any(|row| !row.is_empty()), "the model gives nothing that can be compared");
        Ok(rows)
    }

    fn rows(&self, outputs: &[Arc<Tensor>]) -> Result<Vec<Vec<f32>>> {
        let all_batched = self.outputs.iter().all(|place| self.batched[*place]);
        let count = |place: &usize| outputs.get(*place).and_then(|output| output.shape().first()).copied().unwrap_or(1);
        let examples = self.outputs.first().map_or(1, count);
        let apart = all_batched && self.outputs.iter().all(|place| count(place) == examples);
        let examples = if apart { examples } else { 1 };
        let mut rows = vec![Vec::new(); examples];
        for output in self.outputs.iter().filter_map(|place| outputs.get(*place)) {
            let numbers = numbers(output)?;
            let width = numbers.len() / examples.max(1);
            for (row, numbers) in rows.iter_mut().zip(numbers.chunks(width.max(1))) {
                match numbers {
                    [second] if self.role == Role::Probabilities => row.extend([1.0 - second, *second]),
                    numbers => row.extend_from_slice(numbers),
                }
            }
        }
        Ok(rows)
    }

    /// How far rows are from those that are expected: half the square of the relative error, and for labels the part that
    /// is another.
    pub(super) fn distance(&self, expected: &[Vec<f32>], got: &[Vec<f32>]) -> f64 {
        if self.role != Role::Label {
            return Measure::Logits(Problem::Regression).error(expected, got);
        }
        let pairs = expected.iter().zip(got);
        rounded(pairs.filter(|(a, b)| a != b).count() as f64 / expected.len().max(1) as f64)
    }
}

/// A tensor's elements as numbers; a text as one that another text hardly has.
fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    let failed = |error| anyhow!("an output can't be compared: {error:#}");
    if tensor.datum_type() == DatumType::String {
        let texts = tensor.try_as_plain_ram().and_then(|view| Ok(view.as_slice::<String>()?.to_vec()));
        let number = |text: &String| Digest::of(text.as_bytes()).to_string().bytes().take(8).fold(0.0, hashed);
        return Ok(texts.map_err(failed)?.iter().map(number).collect());
    }
    let cast = tensor.cast_to::<f32>().map_err(failed)?;
    let view = cast.try_as_plain_ram().map_err(failed)?;
    Ok(view.as_slice::<f32>().map_err(failed)?.to_vec())
}

fn hashed(sum: f32, byte: u8) -> f32 {
    (sum * 31.0 + f32::from(byte)) % 16_777_213.0
}

#[cfg(test)]
mod tests {
    use emberlite::model::{Dim, Dtype, TensorSpec};
    use tract_core::prelude::{tensor1, tensor2};

    use super::*;

    fn answers(outputs: &[(Role, Dtype, &[Dim])]) -> Answers {
        let specs = outputs.iter().map(|(role, dtype, shape)| TensorSpec {
            name: "output".to_owned(),
            dtype: *dtype,
            shape: shape.to_vec(),
            role: Some(*role),
        });
        let manifest: Manifest = serde_json::from_value(serde_json::json!({
            "format": 1, "name": "model", "task": "predict", "inputs": [], "outputs": specs.collect::<Vec<_>>(),
            "source": {"file": "a", "format": "onnx", "digest": Digest::of(b"")},
            "verification": {"batch_sizes": [], "inputs": 0, "max_abs_difference": 0.0}, "sections": {}
        }))
        .unwrap();
        Answers::of(&manifest)
    }

    #[test]
    fn probabilities_speak_for_a_model_and_labels_do_not() {
        let n = Dim::Symbol("N".to_owned());
        let answers = answers(&[
            (Role::Label, Dtype::Bytes, std::slice::from_ref(&n)),
            (Role::Probabilities, Dtype::Fp32, &[n.clone(), Dim::Fixed(1)]),
        ]);
        let labels = tensor1(&["good".to_owned(), "bad".to_owned()]);
        let rows = answers.rows(&[Arc::new(labels), Arc::new(tensor2(&[[0.25f32], [1.0]]))]).unwrap();
        assert_eq!(rows, [[0.75, 0.25], [0.0, 1.0]]);
        assert_eq!(answers.distance(&rows, &rows), 0.0);
    }

    #[test]
    fn labels_alone_are_the_same_or_not() {
        let n = [Dim::Symbol("N".to_owned())];
        let answers = answers(&[(Role::Label, Dtype::Bytes, &n)]);
        let rows = |texts: [&str; 2]| answers.rows(&[Arc::new(tensor1(&texts.map(str::to_owned)))]).unwrap();
        assert_eq!(answers.distance(&rows(["good", "bad"]), &rows(["good", "good"])), 0.5);
    }
}
