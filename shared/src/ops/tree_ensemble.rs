//! `emberlite_tree_ensemble`: decision trees that vote, for ONNX's `TreeEnsembleRegressor` and `TreeEnsembleClassifier`.
//!
//! - [`forest`]: the nodes in one flat, checked array, and the walk through it.
//! - [`Ensemble`]: what is done with the leaves that a row ends in.
//! - [`TreeEnsemble`]: the tract operator.

mod ensemble;
pub mod forest;
mod op;
mod opl;
mod score;
#[cfg(test)]
mod tests;

pub use ensemble::{Aggregate, Ensemble, Finish, PostTransform};
pub use op::TreeEnsemble;
pub(super) use opl::register;
