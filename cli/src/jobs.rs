//! `--jobs`: how many threads packing's own work uses.

use std::num::NonZero;
use std::sync::OnceLock;
use std::thread;

static JOBS: OnceLock<NonZero<usize>> = OnceLock::new();

/// Uses so many from now on; what is said first counts. Without it there are as many as the machine has cores.
pub fn set(jobs: NonZero<usize>) {
    JOBS.get_or_init(|| jobs);
}

/// How many there are.
pub(crate) fn count() -> usize {
    JOBS.get().copied().map_or_else(|| thread::available_parallelism().map_or(1, usize::from), usize::from)
}
