//! The task `classify`: texts in, labels with their scores out.

use super::scores::{logistic, softmax};
use crate::model::{Manifest, Problem, Task};

/// A label and how much speaks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The label.
    pub label: String,
    /// A probability, the number itself of a regression, or a logit where that was asked for.
    pub score: f32,
}

/// What a model's logits mean: as the manifest says, else one right label of several. A reranker's is a yes or no, if
/// not a number.
pub fn problem(manifest: &Manifest) -> Problem {
    match (manifest.task, manifest.text.as_ref().and_then(|text| text.problem)) {
        (Task::Rerank, Some(Problem::Regression)) => Problem::Regression,
        (Task::Rerank, _) => Problem::MultiLabel,
        (_, problem) => problem.unwrap_or(Problem::SingleLabel),
    }
}

/// The labels' scores for one text's logits, `[labels]`, the greatest first.
pub fn scores(manifest: &Manifest, logits: &[f32], raw_scores: bool) -> Vec<Score> {
    let values = match problem(manifest) {
        _ if raw_scores => logits.to_vec(),
        Problem::Regression => logits.to_vec(),
        Problem::MultiLabel => logits.iter().copied().map(logistic).collect(),
        Problem::SingleLabel => match *logits {
            [logit] if manifest.labels.len() == 2 => vec![1.0 - logistic(logit), logistic(logit)],
            [logit] => vec![logistic(logit)],
            _ => softmax(logits),
        },
    };
    let name = |class: usize| manifest.labels.get(class).cloned().unwrap_or_else(|| format!("LABEL_{class}"));
    let mut scores: Vec<_> =
        values.into_iter().enumerate().map(|(class, score)| Score { label: name(class), score }).collect();
    scores.sort_by(|a, b| b.score.total_cmp(&a.score));
    scores
}

#[cfg(test)]
mod tests;
