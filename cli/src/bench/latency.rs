//! How long a run takes, and how far runs are apart.

use std::time::{Duration, Instant};

use anyhow::Result;
use emberlite::model::Model;
use serde::Serialize;

use super::inputs::{Inputs, Runs};

/// From here on, the part of the median that lies between the tenth and the ninetieth run of a hundred is more than a
/// quiet machine's.
const WIDE: f64 = 0.5;
/// Fewer runs tell nothing of how far they are apart.
const TELLING: usize = 10;

/// How long something is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How long it runs before anything is counted; once in any case.
    pub warm_up: Duration,
    /// How long it is measured.
    pub time: Duration,
    /// How many runs count at least, however long they take.
    pub least_runs: usize,
}

impl Budget {
    /// So long, after a warm-up of a fifth of it.
    pub fn of(time: Duration) -> Self {
        Self { warm_up: time / 5, time, least_runs: 5 }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(Duration::from_millis(500))
    }
}

/// How long runs took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Half of the runs took less.
    pub median_ms: f64,
    /// A tenth of the runs took less.
    pub low_ms: f64,
    /// A tenth of the runs took more.
    pub high_ms: f64,
    /// How many runs there were.
    pub runs: usize,
}

impl Latency {
    /// Of runs in any order.
    fn of(mut runs: Vec<Duration>) -> Self {
        runs.sort_unstable();
        let at = |part: f64| {
            let place = (runs.len().saturating_sub(1)) as f64 * part;
            runs.get(place.round() as usize).map_or(0.0, |run| run.as_secs_f64() * 1000.0)
        };
        Self { median_ms: at(0.5), low_ms: at(0.1), high_ms: at(0.9), runs: runs.len() }
    }

    /// How often so much is done in a second.
    pub fn per_second(&self) -> f64 {
        1000.0 / self.median_ms.max(f64::MIN_POSITIVE)
    }

    /// Whether the runs are so far apart that the machine has something else to do.
    pub fn is_wide(&self) -> bool {
        self.runs >= TELLING && self.high_ms - self.low_ms > WIDE * self.median_ms
    }
}

/// How long a model takes for these inputs.
///
/// # Errors
/// A model that fails.
pub fn latency(model: &Model, inputs: &Inputs, budget: Budget) -> Result<Latency> {
    let mut runs = Runs::new(model, inputs)?;
    measured(budget, || runs.once())
}

/// Does something over and over; `run` says how long what counts of it took.
///
/// # Errors
/// The first of `run`'s.
pub fn measured(budget: Budget, mut run: impl FnMut() -> Result<Duration>) -> Result<Latency> {
    let start = Instant::now();
    loop {
        run()?;
        if start.elapsed() >= budget.warm_up {
            break;
        }
    }
    let start = Instant::now();
    let mut runs = Vec::new();
    while runs.len() < budget.least_runs.max(1) || start.elapsed() < budget.time {
        runs.push(run()?);
    }
    Ok(Latency::of(runs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(numbers: impl IntoIterator<Item = u64>) -> Vec<Duration> {
        numbers.into_iter().map(Duration::from_millis).collect()
    }

    #[test]
    fn the_median_and_the_tenths_are_of_runs_in_any_order() {
        let latency = Latency::of(milliseconds((0..=100).rev()));
        assert_eq!((latency.low_ms, latency.median_ms, latency.high_ms, latency.runs), (10.0, 50.0, 90.0, 101));
        assert_eq!(latency.per_second(), 20.0);
        let once = Latency::of(milliseconds([7]));
        assert_eq!((once.low_ms, once.median_ms, once.high_ms), (7.0, 7.0, 7.0));
    }

    #[test]
    fn runs_far_apart_are_wide_once_there_are_enough_of_them() {
        assert!(Latency::of(milliseconds((0..20).map(|run| 10 + 20 * (run % 2)))).is_wide());
        assert!(!Latency::of(milliseconds((0..20).map(|run| 10 + run % 2))).is_wide());
        assert!(!Latency::of(milliseconds([10, 20, 30])).is_wide());
    }

    #[test]
    fn runs_are_counted_after_the_warm_up_and_at_least_so_many() {
        let mut all = 0;
        let budget = Budget { warm_up: Duration::ZERO, time: Duration::ZERO, least_runs: 4 };
        let latency = measured(budget, || {
            all += 1;
            Ok(Duration::from_millis(all))
        });
        assert_eq!(latency.unwrap(), Latency { median_ms: 4.0, low_ms: 2.0, high_ms: 5.0, runs: 4 });
        assert_eq!(all, 5);
        assert!(measured(budget, || anyhow::bail!("it fails")).is_err());
    }
}
