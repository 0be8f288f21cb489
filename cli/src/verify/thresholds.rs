//! What a package may cost at most: thresholds, and the refusal of what is below them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::comparison::{Comparison, Outcome};
use super::part::Part;

/// What a package may cost at most. Each is checked where it is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Thresholds, as parts (0.01) or percentages (1%)")]
pub struct Thresholds {
    /// The most that may be lost: accuracy, or labels changed where none are given; 1 - mean cosine; perplexity growth;
    /// relative error of numbers
    #[arg(long, value_name = "PART")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_loss: Option<Part>,
    /// The least part of the examples with the same label, or of places with the same likeliest token
    #[arg(long, value_name = "PART")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_agreement: Option<Part>,
    /// The most accuracy that may be lost, in points, where labels are given
    #[arg(long, value_name = "PART")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_accuracy_loss: Option<Part>,
    /// The least mean cosine of embeddings to the source's
    #[arg(long, value_name = "PART")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_cosine: Option<Part>,
    /// The least rank correlation of similarities or scores with the source's
    #[arg(long, value_name = "PART")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_rank_correlation: Option<Part>,
    /// The most by which a language model's perplexity may grow
    #[arg(long, value_name = "PART")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_perplexity_growth: Option<Part>,
    /// The most divergence (Kullback-Leibler) of probabilities from the source's, in nats
    #[arg(long, value_name = "NATS")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_divergence: Option<f64>,
    /// The most relative error of numbers (root mean square)
    #[arg(long, value_name = "PART")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_relative_error: Option<Part>,
}

/// A threshold that a package misses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Miss {
    /// The threshold, as a recipe spells it.
    pub threshold: &'static str,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub got: String,
}

/// Every threshold that a package misses; at least one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missed(pub Vec<Miss>);

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the package is refused:")?;
        for Miss { threshold, expected, got } in &self.0 {
            write!(f, "\n  {threshold}: expected {expected}, got {got}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Missed {}

/// What a threshold is held against.
#[derive(Clone, Copy)]
enum Got {
    /// A part of a whole.
    Part(f64),
    /// A number in its own unit.
    Number(f64),
    /// The comparison has no such number, for this reason.
    Nothing(&'static str),
}

/// Where the threshold lies.
#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Rounding of sums may not refuse what is just as good as asked for.
const SLACK: f64 = 1e-12;

impl Thresholds {
    /// Whether none is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These, and where one is not given that of others.
    #[must_use]
    pub fn or(self, others: &Self) -> Self {
        Self {
            max_loss: self.max_loss.or(others.max_loss),
            min_agreement: self.min_agreement.or(others.min_agreement),
            max_accuracy_loss: self.max_accuracy_loss.or(others.max_accuracy_loss),
            min_cosine: self.min_cosine.or(others.min_cosine),
            min_rank_correlation: self.min_rank_correlation.or(others.min_rank_correlation),
            max_perplexity_growth: self.max_perplexity_growth.or(others.max_perplexity_growth),
            max_divergence: self.max_divergence.or(others.max_divergence),
            max_relative_error: self.max_relative_error.or(others.max_relative_error),
        }
    }

    /// Whether a package is good enough. A threshold for what was not measured is missed: nothing is taken on trust.
    ///
    /// # Errors
    /// [`Missed`] with each threshold that is.
    pub fn check(&self, comparison: &Comparison) -> Result<(), Missed> {
        let missed = self.rules(comparison).into_iter().filter(|rule| !rule.kept);
        let missed: Vec<Miss> = missed.map(|Rule { miss, .. }| miss).collect();
        if missed.is_empty() { Ok(()) } else { Err(Missed(missed)) }
    }

    /// Each threshold that is given, with what came.
    pub(super) fn rules(&self, comparison: &Comparison) -> Vec<Rule> {
        let found = Found::of(comparison);
        let least = |part: Option<Part>| part.map(|part| Bound::AtLeast(part.0));
        let most = |part: Option<Part>| part.map(|part| Bound::AtMost(part.0));
        let rules = [
            ("max_loss", most(self.max_loss), Got::Part(comparison.loss().value)),
            ("min_agreement", least(self.min_agreement), found.agreement),
            ("max_accuracy_loss", most(self.max_accuracy_loss), found.accuracy_loss),
            ("min_cosine", least(self.min_cosine), found.cosine),
            ("min_rank_correlation", least(self.min_rank_correlation), found.rank_correlation),
            ("max_perplexity_growth", most(self.max_perplexity_growth), found.perplexity_growth),
            ("max_divergence", self.max_divergence.map(Bound::AtMost), found.divergence),
            ("max_relative_error", most(self.max_relative_error), found.relative_error),
        ];
        rules.into_iter().filter_map(|(threshold, bound, got)| Some(Rule::of(threshold, bound?, got))).collect()
    }
}

/// A threshold, and whether it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Rule {
    kept: bool,
    #[serde(flatten)]
    miss: Miss,
}

impl Rule {
    fn of(threshold: &'static str, bound: Bound, got: Got) -> Self {
        let (value, is_part) = match got {
            Got::Part(value) => (Some(value), true),
            Got::Number(value) => (Some(value), false),
            Got::Nothing(_) => (None, !matches!(threshold, "max_divergence")),
        };
        let show = |value: f64| if is_part { Part(value).to_string() } else { format!("{value:.4}") };
        let (kept, expected) = match bound {
            Bound::AtLeast(least) => (value.map(|value| value >= least - SLACK), format!("at least {}", show(least))),
            Bound::AtMost(most) => (value.map(|value| value <= most + SLACK), format!("at most {}", show(most))),
        };
        let got = match got {
            Got::Part(value) | Got::Number(value) => show(value),
            Got::Nothing(reason) => format!("nothing: {reason}"),
        };
        Self { kept: kept.unwrap_or(false), miss: Miss { threshold, expected, got } }
    }
}

/// What a comparison has for each threshold.
struct Found {
    agreement: Got,
    accuracy_loss: Got,
    cosine: Got,
    rank_correlation: Got,
    perplexity_growth: Got,
    divergence: Got,
    relative_error: Got,
}

impl Found {
    fn of(comparison: &Comparison) -> Self {
        let mut found = Self {
            agreement: Got::Nothing("the model chooses no labels and no tokens"),
            accuracy_loss: Got::Nothing("no example has a label that this model could be right on"),
            cosine: Got::Nothing("the model makes no embeddings"),
            rank_correlation: Got::Nothing("there are no similarities or scores that vary"),
            perplexity_growth: Got::Nothing("the model is no language model"),
            divergence: Got::Nothing("there are no probabilities to compare"),
            relative_error: Got::Nothing("the model answers no plain numbers"),
        };
        let part = |value: Option<f64>, or: Got| value.map_or(or, Got::Part);
        match &comparison.outcome {
            Outcome::Labels(labels) => {
                found.agreement = Got::Part(labels.agreement);
                found.accuracy_loss = part(labels.accuracy.map(|accuracy| -accuracy.difference), found.accuracy_loss);
                found.divergence = labels.divergence.map_or(found.divergence, Got::Number);
            }
            Outcome::Vectors(vectors) => {
                found.cosine = Got::Part(vectors.cosine.mean);
                found.rank_correlation = part(vectors.rank_correlation, found.rank_correlation);
                let accuracy = vectors.nearest_accuracy.map(|accuracy| -accuracy.difference);
                found.accuracy_loss = part(accuracy, found.accuracy_loss);
            }
            Outcome::Values(values) => {
                found.relative_error = Got::Part(values.relative_error);
                found.rank_correlation = part(values.rank_correlation, found.rank_correlation);
            }
            Outcome::Tokens(tokens) => {
                found.perplexity_growth = Got::Part(tokens.growth);
                found.agreement = part(tokens.agreement, Got::Nothing("both have different tokens"));
                found.divergence = tokens.divergence.map_or(Got::Nothing("both have different tokens"), Got::Number);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
