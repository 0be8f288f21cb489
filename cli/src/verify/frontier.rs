//! The frontier that a search found: what candidates lose, and what they cost to run and to keep.

use serde::{Deserialize, Serialize};

/// What a search makes small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The time of an answer
    #[default]
    Latency,
    /// The package file
    Size,
    /// The memory of a loaded model
    Memory,
}

impl Target {
    /// What is to become small, of a point: milliseconds, or bytes.
    pub fn cost(self, point: &Point) -> f64 {
        match self {
            Self::Latency => point.latency_ms,
            Self::Size => point.package_bytes as f64,
            Self::Memory => point.memory_bytes as f64,
        }
    }
}

/// What a search tried, within which budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frontier {
    /// What was to be made small.
    pub target: Target,
    /// The most that was to be lost.
    pub max_loss: f64,
    /// Every candidate that was measured.
    pub points: Vec<Point>,
}

/// A candidate that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Its recipe in a few words.
    pub name: String,
    /// What it loses.
    pub loss: f64,
    /// The median time of an answer.
    pub latency_ms: f64,
    /// The size of its package.
    pub package_bytes: u64,
    /// The memory of the loaded model.
    pub memory_bytes: u64,
    /// Whether it was picked.
    pub chosen: bool,
    /// Whether it loses no more than the budget allows.
    pub within: bool,
}

impl Frontier {
    /// What the search makes small, of a point: milliseconds, or bytes.
    pub fn cost(&self, point: &Point) -> f64 {
        self.target.cost(point)
    }

    /// The points that no other beats in both loss and cost, the cheapest first.
    pub fn best(&self) -> Vec<&Point> {
        let mut points: Vec<&Point> = self.points.iter().collect();
        points.sort_by(|a, b| self.cost(a).total_cmp(&self.cost(b)).then(a.loss.total_cmp(&b.loss)));
        let mut least = f64::INFINITY;
        points.retain(|point| {
            let better = point.loss < least;
            least = least.min(point.loss);
            better
        });
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_points_are_those_that_no_other_beats_in_both() {
        let point = |name: &str, loss, package_bytes| Point {
            name: name.to_owned(),
            loss,
            latency_ms: 1.0,
            package_bytes,
            memory_bytes: 0,
            chosen: false,
            within: true,
        };
        let points =
            vec![point("f32", 0.0, 90), point("int8", 0.01, 25), point("poor", 0.02, 40), point("q4", 0.05, 14)];
        let frontier = Frontier { target: Target::Size, max_loss: 0.01, points };
        let names: Vec<_> = frontier.best().iter().map(|point| point.name.as_str()).collect();
        assert_eq!(names, ["q4", "int8", "f32"]);
    }
}
