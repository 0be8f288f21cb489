//! What came out, in figures and in a sentence.

use serde::Serialize;

use super::Report;
use super::units::{count, of_many, percent, points, times};
use crate::verify::comparison::{
    Accuracy, Comparison, LabelsOutcome, Outcome, Scored, TokensOutcome, ValuesOutcome, VectorsOutcome,
};

/// A number of the source beside that of the package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    /// Empty where the source has no number of its own.
    pub(super) source: String,
    pub(super) packed: String,
    pub(super) note: String,
}

impl Figure {
    fn one(name: &'static str, packed: String, note: String) -> Self {
        Self { name, source: String::new(), packed, note }
    }
}

/// The figures of a comparison, the most telling first.
pub(super) fn of(comparison: &Comparison) -> Vec<Figure> {
    let examples = comparison.examples;
    match &comparison.outcome {
        Outcome::Labels(labels) => of_labels(labels, examples),
        Outcome::Vectors(vectors) => of_vectors(vectors),
        Outcome::Values(values) => of_values(values),
        Outcome::Tokens(tokens) => of_tokens(tokens),
    }
}

fn of_labels(labels: &LabelsOutcome, examples: usize) -> Vec<Figure> {
    let changed = format!("{} of {} changed", count(labels.changed), count(examples));
    let mut figures = vec![Figure::one("same label", percent(labels.agreement), changed)];
    figures.extend(labels.accuracy.map(|accuracy| of_accuracy("accuracy", accuracy)));
    let divergence = |nats| Figure::one("divergence", format!("{nats:.5} nats"), "mean, Kullback-Leibler".to_owned());
    figures.extend(labels.divergence.map(divergence));
    let largest = |largest| Figure::one("largest change", format!("{largest:.4}"), "of a probability".to_owned());
    figures.extend(labels.largest.map(largest));
    figures
}

fn of_vectors(vectors: &VectorsOutcome) -> Vec<Figure> {
    let cosine = vectors.cosine;
    let number = |number: f64| format!("{number:.5}");
    let least = format!("1 % lie below {}, 5 % below {}", number(cosine.percentile_1), number(cosine.percentile_5));
    let mut figures = vec![
        Figure::one("mean cosine", number(cosine.mean), format!("median {}", number(cosine.median))),
        Figure::one("least cosine", number(cosine.least), least),
    ];
    let similarities = of_many(vectors.similarities, "similarity", "similarities");
    let ranks = |rank| Figure::one("rank correlation", number(rank), format!("Spearman, of {similarities}"));
    figures.extend(vectors.rank_correlation.map(ranks));
    let same = |part| Figure::one("same nearest text", percent(part), String::new());
    figures.extend(vectors.same_nearest.map(same));
    figures.extend(vectors.scores.map(of_scores));
    figures.extend(vectors.nearest_accuracy.map(|accuracy| of_accuracy("nearest has the label", accuracy)));
    figures
}

fn of_values(values: &ValuesOutcome) -> Vec<Figure> {
    let mut figures = vec![
        Figure::one("relative error", percent(values.relative_error), "root mean square".to_owned()),
        Figure::one("largest difference", format!("{:.2e}", values.largest), String::new()),
    ];
    let ranks = |rank| Figure::one("rank correlation", format!("{rank:.5}"), "Spearman".to_owned());
    figures.extend(values.rank_correlation.map(ranks));
    figures.extend(values.scores.map(of_scores));
    figures
}

fn of_tokens(tokens: &TokensOutcome) -> Vec<Figure> {
    let growth = if tokens.growth >= 0.0 { "+" } else { "" };
    let note = format!("{growth}{}, on {} tokens", percent(tokens.growth), count(tokens.tokens));
    let perplexity = |value: f64| format!("{value:.3}");
    let (source, packed) = (perplexity(tokens.source_perplexity), perplexity(tokens.packed_perplexity));
    let mut figures = vec![Figure { name: "perplexity", source, packed, note }];
    let divergence = |nats| Figure::one("divergence", format!("{nats:.5} nats"), "mean, Kullback-Leibler".to_owned());
    figures.extend(tokens.divergence.map(divergence));
    let same = |part| Figure::one("same likeliest token", percent(part), "of places".to_owned());
    figures.extend(tokens.agreement.map(same));
    figures
}

fn of_accuracy(name: &'static str, accuracy: Accuracy) -> Figure {
    let note = format!(
        "{} points (95 % interval {} to {}), on {}",
        points(accuracy.difference),
        points(accuracy.low),
        points(accuracy.high),
        count(accuracy.examples)
    );
    Figure { name, source: percent(accuracy.source), packed: percent(accuracy.packed), note }
}

fn of_scores(scores: Scored) -> Figure {
    let number = |number: f64| format!("{number:.4}");
    let note = format!("Spearman, on {} given scores", count(scores.examples));
    Figure { name: "order of given scores", source: number(scores.source), packed: number(scores.packed), note }
}

/// What was compared and what came out, in plain words.
pub(super) fn sentence(report: &Report) -> String {
    let comparison = &report.comparison;
    let examples = of_many(comparison.examples, "example", "examples");
    let what = match &comparison.outcome {
        Outcome::Labels(labels) => {
            let agrees = format!("gives the same label as its source on {} of {examples}", percent(labels.agreement));
            match labels.accuracy {
                Some(accuracy) => format!(
                    "{agrees} of {}; its accuracy is {}, the source's {}",
                    comparison.data,
                    percent(accuracy.packed),
                    percent(accuracy.source)
                ),
                None => format!("{agrees} of {}", comparison.data),
            }
        }
        Outcome::Vectors(vectors) => format!(
            "makes embeddings whose cosine to those of its source is {:.4} in the mean, on {examples} of {}",
            vectors.cosine.mean, comparison.data
        ),
        Outcome::Values(values) => format!(
            "answers numbers that are {} off those of its source (root mean square), on {examples} of {}",
            percent(values.relative_error),
            comparison.data
        ),
        Outcome::Tokens(tokens) => format!(
            "reads {} with a perplexity of {:.2}, its source with {:.2}",
            comparison.data, tokens.packed_perplexity, tokens.source_perplexity
        ),
    };
    let size = format!("It has {} of the size in single precision", percent(report.size()));
    let speed = report.latency.first().map(|timing| times(timing.speed()));
    let speed = speed.map_or(String::new(), |speed| format!(", and is {speed} at {}", report.latency[0].what));
    format!("{} {what}. {size}{speed}.", report.name)
}
