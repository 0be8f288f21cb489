//! Embeddings: their directions, and the order of their similarities.

use anyhow::{Result, ensure};
use serde::Serialize;

use super::{Accuracy, Case, Outcome, Scored, check};
use crate::data::{Data, Label};
use crate::texts;
use crate::verify::statistics::{mean, percentile, spearman};

/// Of how many examples each is compared with each.
const EACH_WITH_EACH: usize = 512;

/// What came of a comparison of embeddings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VectorsOutcome {
    /// The cosines of the package's vectors to the source's.
    pub cosine: Cosines,
    /// Spearman's rank correlation of the similarities, of given pairs or of each text with each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank_correlation: Option<f64>,
    /// How many similarities that is.
    pub similarities: usize,
    /// The part of the texts whose nearest other text is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_nearest: Option<f64>,
    /// The rank correlation of the similarities with given scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<Scored>,
    /// How often the nearest other text has the same label, where labels are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest_accuracy: Option<Accuracy>,
}

/// Cosines of two models' vectors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cosines {
    /// Their mean.
    pub mean: f64,
    /// The least.
    pub least: f64,
    /// What 1 % of them lie below.
    pub percentile_1: f64,
    /// What 5 % of them lie below.
    pub percentile_5: f64,
    /// The middle one.
    pub median: f64,
}

impl Cosines {
    fn of(cosines: &[f64]) -> Self {
        Self {
            mean: mean(cosines),
            least: cosines.iter().copied().fold(1.0, f64::min),
            percentile_1: percentile(cosines, 0.01),
            percentile_5: percentile(cosines, 0.05),
            median: percentile(cosines, 0.5),
        }
    }
}

pub(super) fn compare(source: &[Vec<Vec<f32>>], packed: &[Vec<Vec<f32>>], data: &Data) -> Result<(Outcome, Vec<Case>)> {
    check(source.len(), packed.len(), data)?;
    let rows = || source.iter().flatten().zip(packed.iter().flatten());
    if let Some((a, b)) = rows().find(|(a, b)| a.len() != b.len()) {
        ensure!(false, "the source's vectors have {} components, the package's {}", a.len(), b.len());
    }
    let cosines: Vec<f64> = rows().map(|(a, b)| cosine(a, b)).collect();
    let cosine = Cosines::of(&cosines);
    let mut outcome = VectorsOutcome {
        cosine,
        rank_correlation: None,
        similarities: 0,
        same_nearest: None,
        scores: None,
        nearest_accuracy: None,
    };
    let worst = if source.iter().any(|vectors| vectors.len() == 2) {
        pairs(source, packed, data, &mut outcome)
    } else {
        each_with_each(source, packed, data, &mut outcome);
        let changed = |(example, distance): (_, f64)| {
            let shown = |cosine: f64| format!("cosine {cosine:.5}");
            (distance > 0.0).then(|| Case::new(example, shown(1.0), shown(1.0 - distance), distance))
        };
        data.examples.iter().zip(cosines.iter().map(|cosine| 1.0 - cosine)).filter_map(changed).collect()
    };
    Ok((Outcome::Vectors(outcome), worst))
}

/// The similarities of given pairs.
fn pairs(source: &[Vec<Vec<f32>>], packed: &[Vec<Vec<f32>>], data: &Data, outcome: &mut VectorsOutcome) -> Vec<Case> {
    let similarity = |vectors: &Vec<Vec<f32>>| match vectors.as_slice() {
        [first, second] => cosine(first, second),
        _ => 1.0,
    };
    let before: Vec<f64> = source.iter().map(similarity).collect();
    let after: Vec<f64> = packed.iter().map(similarity).collect();
    outcome.rank_correlation = spearman(&before, &after);
    outcome.similarities = before.len();
    outcome.scores = Scored::of(data, &before, &after);
    let case = |((example, before), after): ((_, &f64), &f64)| {
        Case::new(example, format!("similarity {before:.4}"), format!("similarity {after:.4}"), (before - after).abs())
    };
    data.examples.iter().zip(&before).zip(&after).map(case).collect()
}

/// The similarities of each of so many texts with each.
fn each_with_each(source: &[Vec<Vec<f32>>], packed: &[Vec<Vec<f32>>], data: &Data, outcome: &mut VectorsOutcome) {
    let chosen = texts::spread((0..data.examples.len()).collect(), EACH_WITH_EACH);
    let of = |side: &[Vec<Vec<f32>>]| -> Vec<Vec<f32>> {
        chosen.iter().map(|index| unit(side[*index].first().map_or(&[][..], Vec::as_slice))).collect()
    };
    let (before, after) = (Table::of(&of(source)), Table::of(&of(packed)));
    outcome.rank_correlation = spearman(&before.pairs, &after.pairs);
    outcome.similarities = before.pairs.len();
    if before.nearest.is_empty() {
        return;
    }
    let same = before.nearest.iter().zip(&after.nearest).filter(|(a, b)| a == b).count();
    outcome.same_nearest = Some(same as f64 / before.nearest.len() as f64);
    let label = |place: usize| match &data.examples[chosen[place]].label {
        Some(Label::Classes(classes)) => Some(classes),
        _ => None,
    };
    let right = before.nearest.iter().zip(&after.nearest).enumerate().filter_map(|(place, (a, b))| {
        let own = label(place)?;
        Some((label(*a) == Some(own), label(*b) == Some(own)))
    });
    outcome.nearest_accuracy = Accuracy::of(right);
}

/// The similarity of each with each, and which other is the nearest to each.
struct Table {
    pairs: Vec<f64>,
    nearest: Vec<usize>,
}

impl Table {
    /// Of vectors of length 1.
    fn of(vectors: &[Vec<f32>]) -> Self {
        let count = vectors.len();
        let mut pairs = Vec::with_capacity(count * count.saturating_sub(1) / 2);
        let mut best = vec![(f64::NEG_INFINITY, 0); if count > 1 { count } else { 0 }];
        for first in 0..count {
            for second in first + 1..count {
                let similarity = dot(&vectors[first], &vectors[second]);
                pairs.push(similarity);
                for (place, other) in [(first, second), (second, first)] {
                    if similarity > best[place].0 {
                        best[place] = (similarity, other);
                    }
                }
            }
        }
        Self { pairs, nearest: best.into_iter().map(|(_, other)| other).collect() }
    }
}

impl Scored {
    /// How the numbers of both are ordered beside given scores; none where fewer than two are given, or all are equal.
    pub(super) fn of(data: &Data, source: &[f64], packed: &[f64]) -> Option<Self> {
        let scored = data.examples.iter().zip(source.iter().zip(packed)).filter_map(|(example, (source, packed))| {
            let Some(Label::Number(score)) = example.label else { return None };
            Some((score, (*source, *packed)))
        });
        let (scores, both): (Vec<f64>, Vec<(f64, f64)>) = scored.unzip();
        let (source, packed): (Vec<f64>, Vec<f64>) = both.into_iter().unzip();
        let examples = scores.len();
        Some(Self { examples, source: spearman(&scores, &source)?, packed: spearman(&scores, &packed)? })
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// 1 for equal vectors, those of zeros among them.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if a == b { 1.0 } else { (dot(a, b) / lengths.max(f64::MIN_POSITIVE)).clamp(-1.0, 1.0) }
}

fn unit(vector: &[f32]) -> Vec<f32> {
    let length = dot(vector, vector).sqrt().max(f64::MIN_POSITIVE);
    vector.iter().map(|component| (f64::from(*component) / length) as f32).collect()
}
