//! How near two models' outputs are, row by row.

use emberlite::engine::Isa;
use emberlite::model::{Agreement, Cosine, Problem, Task};

/// What outputs are, and so how they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Vectors, whose direction counts.
    Vectors,
    /// A classifier's logits; labels may agree.
    Logits(Problem),
}

impl Measure {
    /// For the outputs of a model of texts.
    pub fn of(task: Task, problem: Option<Problem>) -> Self {
        match (task, problem) {
            (Task::Classify, problem) => Self::Logits(problem.unwrap_or(Problem::SingleLabel)),
            (Task::Rerank, _) => Self::Logits(Problem::Regression),
            (Task::Embed | Task::Predict | Task::Generate, _) => Self::Vectors,
        }
    }

    /// How much is lost: for vectors the mean of 1 - cosine, for logits half the square of their relative error.
    pub fn error(self, expected: &[Vec<f32>], got: &[Vec<f32>]) -> f64 {
        let error = match self {
            Self::Vectors => 1.0 - mean(&cosines(expected, got)),
            Self::Logits(_) => {
                let square = |x: f64| x * x;
                let power: f64 = expected.iter().flatten().map(|x| square(f64::from(*x))).sum();
                let lost: f64 = pairs(expected, got).map(|(a, b)| square(a - b)).sum();
                lost / power.max(f64::MIN_POSITIVE) / 2.0
            }
        };
        rounded(error.max(0.0))
    }

    /// The whole account of two models' rows.
    pub fn agreement(self, expected: &[Vec<f32>], got: &[Vec<f32>]) -> Agreement {
        let texts = expected.len();
        let differences = pairs(expected, got).map(|(a, b)| (a - b).abs());
        let max_abs_difference = rounded(differences.fold(0.0, f64::max));
        let (mut cosine, mut labels) = (None, None);
        match self {
            Self::Vectors => {
                let cosines = cosines(expected, got);
                let least = cosines.iter().copied().fold(1.0, f64::min);
                cosine = Some(Cosine { mean: 1.0 - rounded(1.0 - mean(&cosines)), least: 1.0 - rounded(1.0 - least) });
            }
            Self::Logits(Problem::Regression) => {}
            Self::Logits(problem) => {
                let same = expected.iter().zip(got).filter(|(a, b)| chosen(problem, a) == chosen(problem, b));
                labels = Some(same.count() as f64 / texts.max(1) as f64);
            }
        }
        let isa = Isa::current().to_string();
        Agreement { texts, isa, cosine, labels, max_abs_difference }
    }
}

fn pairs(expected: &[Vec<f32>], got: &[Vec<f32>]) -> impl Iterator<Item = (f64, f64)> {
    let wide = |(a, b): (&f32, &f32)| (f64::from(*a), f64::from(*b));
    expected.iter().flatten().zip(got.iter().flatten()).map(wide)
}

/// The cosine of each pair of rows; 1 for two rows of zeros.
fn cosines(expected: &[Vec<f32>], got: &[Vec<f32>]) -> Vec<f64> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let cosine = |(a, b): (&Vec<f32>, &Vec<f32>)| {
        let lengths = (dot(a, a) * dot(b, b)).sqrt();
        if a == b { 1.0 } else { dot(a, b) / lengths.max(f64::MIN_POSITIVE) }
    };
    expected.iter().zip(got).map(cosine).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The labels that logits speak for, by their indexes.
fn chosen(problem: Problem, logits: &[f32]) -> Vec<usize> {
    let positive = || (0..logits.len()).filter(|label| logits[*label] > 0.0).collect();
    if problem == Problem::MultiLabel || logits.len() == 1 {
        return positive();
    }
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).into_iter().collect()
}

/// A number with three significant digits: what two computers measure agrees in them more often than not.
pub fn rounded(number: f64) -> f64 {
    format!("{number:.2e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_direction_of_vectors_counts_and_not_their_length() {
        let expected = [vec![1.0, 0.0], vec![0.0, 2.0], vec![0.0, 0.0]];
        let longer = expected.clone().map(|row| row.into_iter().map(|x| x * 3.0).collect());
        assert_eq!(Measure::Vectors.error(&expected, &longer), 0.0);
        let turned = [vec![1.0, 0.0], vec![2.0, 0.0], vec![0.0, 0.0]];
        let agreement = Measure::Vectors.agreement(&expected, &turned);
        assert_eq!(agreement.cosine, Some(Cosine { mean: 0.667, least: 0.0 }));
        assert_eq!((agreement.texts, agreement.labels, agreement.max_abs_difference), (3, None, 2.0));
    }

    #[test]
    fn labels_agree_by_what_the_problem_makes_of_logits() {
        let expected = [vec![1.0, 2.0], vec![0.5, -0.5]];
        let got = [vec![-1.0, 2.0], vec![0.4, -0.5]];
        let labels = |problem| Measure::Logits(problem).agreement(&expected, &got).labels;
        assert_eq!(labels(Problem::SingleLabel), Some(1.0));
        assert_eq!(labels(Problem::MultiLabel), Some(0.5));
        assert_eq!(labels(Problem::Regression), None);
    }

    #[test]
    fn errors_of_logits_and_vectors_are_alike_where_they_are_small() {
        let (expected, got) = ([vec![1.0, 0.0]], [vec![1.0, 0.01]]);
        let vectors = Measure::Vectors.error(&expected, &got);
        let logits = Measure::Logits(Problem::SingleLabel).error(&expected, &got);
        assert!((vectors - logits).abs() < 1e-7 && vectors > 4e-5, "{vectors} {logits}");
    }

    #[test]
    fn three_digits_are_kept() {
        assert_eq!([0.0, 1.0, 0.0012345].map(rounded), [0.0, 1.0, 0.00123]);
    }
}
