//! Running a model on inputs that stand for those it will see.

use anyhow::Result;
use tract_core::prelude::TypedModel;

use crate::progress::Progress;

/// The inputs to calibrate with, whatever the model takes: texts, tokens or tensors.
pub trait Calibration {
    /// What the inputs are called: their file's name, or what they are where there is no file.
    fn name(&self) -> &str;

    /// Runs a model on all of them. What its operators note meanwhile is what the run is for.
    ///
    /// # Errors
    /// A model that can't be planned, or that fails.
    fn run(&self, model: &TypedModel, progress: &Progress) -> Result<()>;

    /// What a model loses against the source, on some of the inputs: 0 where its outputs are the source's. The mean of
    /// 1 - cosine for vectors, half the square of the relative error for logits and other numbers, and for a language
    /// model the mean divergence (Kullback and Leibler's) of its predictions.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    fn loss(&self, model: &TypedModel) -> Result<f64>;
}
