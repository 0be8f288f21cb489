//! How much is measured: enough for a spread, never without end.

use std::time::{Duration, Instant};

/// A stage that takes long is cut short, but not below this many pairs.
const FEWEST_PAIRS: usize = 3;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Cold starts of each contender for each place of the model.
    pub(crate) cold_pairs: usize,
    /// How long such a series may go on.
    pub(crate) cold_time: Duration,
    /// How often both are started anew for warm measurements.
    pub(crate) rounds: usize,
    /// Series of requests in turn in each round.
    pub(crate) blocks: usize,
    /// Requests of one row in a series.
    pub(crate) one_row_requests: usize,
    /// Requests of many rows in a series.
    pub(crate) many_row_requests: usize,
    /// How long parallel clients ask.
    pub(crate) throughput_time: Duration,
}

impl Limits {
    /// What a table in a document needs.
    pub(crate) const FULL: Self = Self {
        cold_pairs: 15,
        cold_time: Duration::from_secs(25),
        rounds: 3,
        blocks: 4,
        one_row_requests: 500,
        many_row_requests: 100,
        throughput_time: Duration::from_secs(1),
    };
    /// What tells whether all of it works.
    pub(crate) const QUICK: Self = Self {
        cold_pairs: 3,
        cold_time: Duration::from_secs(8),
        rounds: 1,
        blocks: 3,
        one_row_requests: 200,
        many_row_requests: 40,
        throughput_time: Duration::from_millis(300),
    };

    /// Whether a series of pairs that has gone on since `begun` has to end.
    pub(crate) fn stage_is_over(&self, pairs: usize, begun: Instant) -> bool {
        pairs >= FEWEST_PAIRS && begun.elapsed() > self.cold_time
    }
}
