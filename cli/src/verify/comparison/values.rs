//! Numbers: how far they are off, and whether their order is kept.

use anyhow::{Result, ensure};
use serde::Serialize;

use super::{Case, Outcome, Scored, check};
use crate::data::Data;
use crate::verify::statistics::spearman;

/// How many numbers of a case are shown.
const SHOWN: usize = 4;

/// What came of a comparison of numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ValuesOutcome {
    /// The root of the mean square of the differences, in parts of that of the source's numbers.
    pub relative_error: f64,
    /// The largest difference.
    pub largest: f64,
    /// Spearman's rank correlation of the first numbers of both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank_correlation: Option<f64>,
    /// The rank correlation of the first numbers with given ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<Scored>,
}

pub(super) fn compare(source: &[Vec<f64>], packed: &[Vec<f64>], data: &Data) -> Result<(Outcome, Vec<Case>)> {
    check(source.len(), packed.len(), data)?;
    for (example, (a, b)) in data.examples.iter().zip(source.iter().zip(packed)) {
        ensure!(
            a.len() == b.len(),
            "{}: the source answers {} numbers, the package {}",
            example.name,
            a.len(),
            b.len()
        );
    }
    let numbers = || source.iter().flatten().zip(packed.iter().flatten());
    let lost: f64 = numbers().map(|(a, b)| difference(*a, *b).powi(2)).sum();
    let power: f64 = numbers().map(|(a, _)| a).filter(|a| a.is_finite()).map(|a| a * a).sum();
    let firsts = |side: &[Vec<f64>]| -> Vec<f64> { side.iter().filter_map(|row| row.first().copied()).collect() };
    let (before, after) = (firsts(source), firsts(packed));
    let outcome = ValuesOutcome {
        relative_error: if lost == 0.0 { 0.0 } else { (lost / power.max(f64::MIN_POSITIVE)).sqrt() },
        largest: numbers().map(|(a, b)| difference(*a, *b)).fold(0.0, f64::max),
        rank_correlation: spearman(&before, &after),
        scores: Scored::of(data, &before, &after),
    };
    let case = |(example, (a, b)): (_, (&Vec<f64>, &Vec<f64>))| {
        let distance = a.iter().zip(b).map(|(a, b)| difference(*a, *b).powi(2)).sum::<f64>().sqrt();
        (distance > 0.0).then(|| Case::new(example, shown(a), shown(b), distance))
    };
    let worst = data.examples.iter().zip(source.iter().zip(packed)).filter_map(case).collect();
    Ok((Outcome::Values(outcome), worst))
}

/// How far two numbers are apart: infinitely where one of them is none, and not at all where both are.
fn difference(a: f64, b: f64) -> f64 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => 0.0,
        (false, false) if a == b => 0.0,
        (false, false) => (a - b).abs(),
        _ => f64::INFINITY,
    }
}

fn shown(numbers: &[f64]) -> String {
    let shown: Vec<_> = numbers.iter().take(SHOWN).map(|number| format!("{number:.5}")).collect();
    let more = if numbers.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
