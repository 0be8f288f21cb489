//! The one number that a budget is held against.

use std::fmt;

use serde::Serialize;

use super::comparison::{Comparison, Outcome};
use super::part::Part;

/// What a package lost against its source, as one number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Loss {
    /// 0 where nothing is lost.
    pub value: f64,
    /// What it is a part of.
    pub what: &'static str,
}

impl Comparison {
    /// What is lost, by what a user of such a model cares for:
    /// - a classifier with labels: the accuracy that is lost, in points. A changed label that was wrong before costs nothing;
    /// - a classifier without labels: the part of the examples whose label changed, since nobody knows which was right;
    /// - embeddings: 1 less the mean cosine;
    /// - numbers: the relative root mean square error;
    /// - a language model: the growth of its perplexity.
    ///
    /// It is never below 0: a package that is better by chance than its source makes no room for one that is worse.
    pub fn loss(&self) -> Loss {
        let (value, what) = match &self.outcome {
            Outcome::Labels(labels) => match labels.accuracy {
                Some(accuracy) => (-accuracy.difference, "accuracy lost"),
                None => (1.0 - labels.agreement, "labels changed"),
            },
            Outcome::Vectors(vectors) => (1.0 - vectors.cosine.mean, "1 - mean cosine"),
            Outcome::Values(values) => (values.relative_error, "relative RMS error"),
            Outcome::Tokens(tokens) => (tokens.growth, "perplexity growth"),
        };
        // What is no number is no small loss.
        Loss { value: if value.is_nan() { f64::INFINITY } else { value.max(0.0) }, what }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", Part(self.value), self.what)
    }
}
