//! What a package says about parts of its model that were taken out.

use serde::{Deserialize, Serialize};

/// One step of pruning: what it took out, and what that cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pruning {
    /// What was taken out: `neurons`, `heads`, `layers`, `low-rank`, `channels` or `trees`.
    pub method: String,
    /// The part that was asked for, between 0 and 1.
    pub amount: f64,
    /// How many there were.
    pub units: usize,
    /// How many were taken out.
    pub removed: usize,
    /// How many numbers the model had learnt before.
    pub parameters_before: usize,
    /// How many are left.
    pub parameters_after: usize,
    /// What the model loses against its source after this step, on inputs to calibrate with: the mean of 1 - cosine for
    /// vectors, half the square of the relative error for logits and other numbers, and for a language model the mean
    /// divergence of its predictions.
    pub loss: f64,
}
