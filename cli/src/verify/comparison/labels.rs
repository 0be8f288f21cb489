//! Classes: how often they are the same, and how often right.

use anyhow::Result;
use serde::Serialize;

use super::{Accuracy, Case, Outcome, check};
use crate::data::{Data, Label};
use crate::verify::answers::Classes;
use crate::verify::statistics::mean;

/// What came of a comparison of classes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelsOutcome {
    /// The part of the examples that get the same classes.
    pub agreement: f64,
    /// How many get others.
    pub changed: usize,
    /// How often both are right, where labels are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// The mean divergence of Kullback and Leibler of the package's probabilities from the source's, in nats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub divergence: Option<f64>,
    /// The largest difference of a probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest: Option<f64>,
}

/// The least probability that a divergence sees: what lies below is rounding.
const LEAST: f64 = 1e-9;

pub(super) fn compare(source: &[Classes], packed: &[Classes], data: &Data) -> Result<(Outcome, Vec<Case>)> {
    check(source.len(), packed.len(), data)?;
    let pairs = || source.iter().zip(packed);
    let changed = pairs().filter(|(a, b)| a.chosen != b.chosen).count();
    let right = data.examples.iter().zip(pairs()).filter_map(|(example, (a, b))| {
        let Some(Label::Classes(expected)) = &example.label else { return None };
        Some((a.chosen == *expected, b.chosen == *expected))
    });
    let divergences: Vec<f64> = pairs().filter_map(|(a, b)| divergence(a, b)).collect();
    let differences = pairs().flat_map(|(a, b)| a.probabilities.iter().zip(&b.probabilities));
    let largest = differences.map(|((_, a), (_, b))| f64::from((a - b).abs())).reduce(f64::max);
    let outcome = LabelsOutcome {
        agreement: 1.0 - changed as f64 / data.examples.len().max(1) as f64,
        changed,
        accuracy: Accuracy::of(right),
        divergence: (!divergences.is_empty()).then(|| mean(&divergences)),
        largest,
    };
    let case = |(example, (a, b)): (_, (&Classes, &Classes))| {
        let distance = distance(a, b);
        (distance > 0.0).then(|| Case::new(example, shown(a), shown(b), distance))
    };
    let worst = data.examples.iter().zip(pairs()).filter_map(case).collect();
    Ok((Outcome::Labels(outcome), worst))
}

fn divergence(source: &Classes, packed: &Classes) -> Option<f64> {
    let (p, q) = (&source.probabilities, &packed.probabilities);
    let alike = !p.is_empty() && p.len() == q.len();
    let term = |((_, p), (_, q)): (&(String, f32), &(String, f32))| {
        let (p, q) = (f64::from(*p), f64::from(*q));
        if p > 0.0 { p * (p.max(LEAST) / q.max(LEAST)).ln() } else { 0.0 }
    };
    alike.then(|| p.iter().zip(q).map(term).sum::<f64>().max(0.0))
}

fn probability(classes: &Classes, name: &str) -> Option<f64> {
    let found = classes.probabilities.iter().find(|(class, _)| class == name);
    found.map(|(_, probability)| f64::from(*probability))
}

/// How much less probable the package finds what the source chose; those whose classes changed come first.
fn distance(source: &Classes, packed: &Classes) -> f64 {
    let fall = |class: &String| Some((probability(source, class)? - probability(packed, class)?).abs());
    let fall = source.chosen.iter().chain(&packed.chosen).filter_map(fall).fold(0.0, f64::max);
    f64::from(u8::from(source.chosen != packed.chosen)) + fall
}

/// Classes with their probabilities.
fn shown(classes: &Classes) -> String {
    let one = |class: &String| match probability(classes, class) {
        Some(probability) => format!("{class} ({probability:.3})"),
        None => class.clone(),
    };
    let all: Vec<_> = classes.chosen.iter().map(one).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}
