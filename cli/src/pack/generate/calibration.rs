//! Token sequences to calibrate a language model with.

use std::cell::OnceCell;

use anyhow::Result;
use emberlite::engine::Decoder;
use tract_core::prelude::TypedModel;

use super::documents::Documents;
use crate::calibrate::Calibration;
use crate::progress::Progress;

/// The texts to calibrate with, and what the source predicts in some of them.
pub(super) struct Tokens<'a> {
    source: &'a Decoder,
    documents: &'a Documents,
    expected: OnceCell<Vec<Vec<f32>>>,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(source: &'a Decoder, documents: &'a Documents) -> Self {
        Self { source, documents, expected: OnceCell::new() }
    }
}

impl Calibration for Tokens<'_> {
    fn name(&self) -> &str {
        self.documents.calibration_name()
    }

    fn run(&self, model: &TypedModel, progress: &Progress) -> Result<()> {
        self.documents.calibrate(&Decoder::new(model.clone())?, progress)
    }

    fn outputs(&self, model: &TypedModel) -> Result<Vec<Vec<f32>>> {
        self.documents.logits(&Decoder::new(model.clone())?)
    }

    fn expected(&self) -> Result<&[Vec<f32>]> {
        if self.expected.get().is_none() {
            drop(self.expected.set(self.documents.logits(self.source)?));
        }
        Ok(self.expected.get().map_or(&[], Vec::as_slice))
    }

    fn distance(&self, expected: &[Vec<f32>], got: &[Vec<f32>]) -> f64 {
        let sum: f64 = expected.iter().zip(got).map(|(source, packed)| divergence(source, packed)).sum();
        (sum / expected.len().max(1) as f64).max(0.0)
    }
}

/// Kullback and Leibler's divergence of the predictions that two rows of logits are, in nats.
fn divergence(source: &[f32], packed: &[f32]) -> f64 {
    let (source, packed) = (log_softmax(source), log_softmax(packed));
    source.iter().zip(&packed).map(|(source, packed)| source.exp() * (source - packed)).sum()
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let greatest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - greatest).exp()).sum();
    logits.iter().map(|logit| f64::from(*logit) - greatest - sum.ln()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_diverge_by_what_their_probabilities_say() {
        let quarter = [0.0, 3f32.ln()];
        assert!(divergence(&quarter, &[5.0, 5.0 + 3f32.ln()]).abs() < 1e-6);
        let expected = 0.25 * 0.5f64.ln() + 0.75 * 1.5f64.ln();
        assert!((divergence(&quarter, &[1.0, 1.0]) - expected).abs() < 1e-6);
    }
}
