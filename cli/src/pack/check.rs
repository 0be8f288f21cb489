//! The check before a package is written: the model as imported and the package as loaded give the same outputs.

mod texts;

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use emberlite::engine::Plan;
use emberlite::model::{Manifest, Model, Verification};
use emberlite::task::{self, Payload};
use serde_json::Value;
use tract_core::prelude::Tensor;

use super::samples::{Sampler, Words};
pub(super) use texts::compare_texts;

/// Batch sizes that reach the different paths of the kernels.
const BATCH_SIZES: [usize; 4] = [1, 2, 7, 64];
/// How many random inputs are tried at each of them.
const RANDOM_INPUTS: usize = 3;

/// The difference that a number may have, in parts of its size, or of 1 where it is smaller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance(f64);

impl Tolerance {
    /// Nothing is computed in another way.
    pub(super) const SAME: Self = Self(1e-5);
    /// Fused operators add in another order.
    pub(super) const FUSED: Self = Self(1e-4);
}

/// Compares both on random inputs and on the given ones; texts are drawn from `words`.
pub(super) fn compare(
    before: &Plan,
    after: &Model,
    words: &Words,
    given: &[&Value],
    tolerance: Tolerance,
) -> Result<Verification> {
    let manifest = after.manifest();
    let batched = manifest.inputs.iter().any(|input| input.is_batched());
    let batch_sizes = if batched { BATCH_SIZES.to_vec() } else { vec![1] };
    let mut sampler = Sampler::new(0, before, words);
    let mut verification = Verification { batch_sizes, ..Verification::default() };
    for rows in verification.batch_sizes.clone() {
        for _ in 0..RANDOM_INPUTS {
            let inputs = sampler.inputs(manifest, rows)?;
            compare_one(before, after, inputs, tolerance, &mut verification)
                .with_context(|| format!("the package differs from the model on a random input of {rows} rows"))?;
        }
    }
    for (index, value) in given.iter().enumerate() {
        let payload = Payload::Json((*value).clone());
        let (inputs, _) = task::read_inputs(&payload, manifest)
            .with_context(|| format!("given input {index} does not fit the model"))?;
        compare_one(before, after, inputs, tolerance, &mut verification)
            .with_context(|| format!("the package differs from the model on given input {index}"))?;
    }
    Ok(verification)
}

fn compare_one(
    before: &Plan,
    after: &Model,
    inputs: Vec<Tensor>,
    tolerance: Tolerance,
    verification: &mut Verification,
) -> Result<()> {
    let expected = before.run(inputs.clone()).context("the imported model fails")?;
    let got = after.run(inputs).context("the packed model fails")?;
    let difference = largest_difference(after.manifest(), &expected, &got, tolerance)?;
    verification.inputs += 1;
    verification.max_abs_difference = verification.max_abs_difference.max(difference);
    Ok(())
}

fn largest_difference(
    manifest: &Manifest,
    expected: &[Arc<Tensor>],
    got: &[Arc<Tensor>],
    tolerance: Tolerance,
) -> Result<f64> {
    ensure!(expected.len() == got.len(), "expected {} outputs, got {}", expected.len(), got.len());
    let mut largest = 0.0f64;
    for ((spec, expected), got) in manifest.outputs.iter().zip(expected).zip(got) {
        let difference = difference(expected, got, tolerance).with_context(|| format!("output {:?}", spec.name))?;
        largest = largest.max(difference);
    }
    Ok(largest)
}

/// The largest difference of two outputs; one beyond the tolerance is an error.
fn difference(expected: &Tensor, got: &Tensor, tolerance: Tolerance) -> Result<f64> {
    ensure!(expected.shape() == got.shape(), "expected the shape {:?}, got {:?}", expected.shape(), got.shape());
    ensure!(
        expected.datum_type() == got.datum_type(),
        "expected the type {:?}, got {:?}",
        expected.datum_type(),
        got.datum_type()
    );
    if !expected.datum_type().is_float() {
        ensure!(expected == got, "expected {expected:?}, got {got:?}");
        return Ok(0.0);
    }
    let (expected, got) = (numbers(expected)?, numbers(got)?);
    let mut largest = 0.0f64;
    for (index, (&expected, &got)) in expected.iter().zip(&got).enumerate() {
        if expected == got || (expected.is_nan() && got.is_nan()) {
            continue;
        }
        let difference = (expected - got).abs();
        let within = difference <= tolerance.0 * expected.abs().max(1.0);
        if !within {
            bail!("element {index}: expected {expected}, got {got}");
        }
        largest = largest.max(difference);
    }
    Ok(largest)
}

fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    let wide = tensor.cast_to::<f64>().map_err(|error| anyhow!("{error}"))?;
    let view = wide.try_as_plain_ram().map_err(|error| anyhow!("{error}"))?;
    Ok(view.as_slice::<f64>().map_err(|error| anyhow!("{error}"))?.to_vec())
}

#[cfg(test)]
mod tests {
    use tract_core::prelude::tensor1;

    use super::*;

    #[test]
    fn differences_beyond_the_tolerance_are_told() {
        let expected = tensor1(&[1.0f32, f32::NAN, 1000.0]);
        assert_eq!(difference(&expected, &expected, Tolerance::SAME).unwrap(), 0.0);
        let near = tensor1(&[1.0f32, f32::NAN, 1000.001]);
        assert!(difference(&expected, &near, Tolerance::SAME).unwrap() > 0.0);
        let far = tensor1(&[1.1f32, f32::NAN, 1000.0]);
        assert_eq!(
            difference(&expected, &far, Tolerance::SAME).unwrap_err().to_string(),
            "element 0: expected 1, got 1.100000023841858"
        );
        let missing = tensor1(&[f32::NAN, f32::NAN, 1000.0]);
        assert!(difference(&expected, &missing, Tolerance::SAME).is_err());
    }

    #[test]
    fn labels_must_be_the_same() {
        let labels = |text: &str| tensor1(&[text.to_owned()]);
        assert!(difference(&labels("good"), &labels("good"), Tolerance::SAME).is_ok());
        assert!(difference(&labels("good"), &labels("bad"), Tolerance::SAME).is_err());
    }
}
