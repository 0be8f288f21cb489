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

    /// What a model gives on some of the inputs: rows of numbers, the same places for every model.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    fn outputs(&self, model: &TypedModel) -> Result<Vec<Vec<f32>>>;

    /// What the source gives on them.
    ///
    /// # Errors
    /// A source that fails.
    fn expected(&self) -> Result<&[Vec<f32>]>;

    /// How far rows are from those that are expected, 0 where they are the same: the mean of 1 - cosine for vectors,
    /// half the square of the relative error for logits and other numbers, and for a language model the mean divergence
    /// (Kullback and Leibler's) of its predictions.
    fn distance(&self, expected: &[Vec<f32>], got: &[Vec<f32>]) -> f64;

    /// What a model loses against the source, on some of the inputs.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    fn loss(&self, model: &TypedModel) -> Result<f64> {
        Ok(self.distance(self.expected()?, &self.outputs(model)?))
    }
}
