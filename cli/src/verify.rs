//! `emberlite verify`: a package against the model it was made from, on data, and what that cost.

mod answers;
mod comparison;
mod language;
mod loss;
mod part;
mod statistics;
mod thresholds;

pub use answers::{Answers, Classes, Passage};
pub use comparison::{
    Accuracy, Case, Comparison, Cosines, LabelsOutcome, Outcome, Scored, TokensOutcome, ValuesOutcome, VectorsOutcome,
};
pub(crate) use language::STEP;
pub use language::{Piece, Predictions, pieces};
pub use loss::Loss;
pub use part::Part;
pub use thresholds::{Miss, Missed, Thresholds};
