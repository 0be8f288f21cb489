//! The threads that model runs may use: the caller's own, and helpers that stay awake while a model runs.
//!
//! A run is some hundred short loops over rows, panels or heads. Waking a thread for each of them costs more than most of
//! them take, so helpers spin between the loops of a run ([`enter`]) and sleep between runs.

mod job;
mod pool;

use std::marker::PhantomData;
use std::sync::OnceLock;

use pool::Pool;

static POOL: OnceLock<Option<Pool>> = OnceLock::new();

/// Uses this many threads from now on. It has to be said before the first kernel runs; afterwards it changes nothing.
/// Without it there is one thread, the caller's.
pub fn set(count: usize) {
    POOL.get_or_init(|| Pool::start(count.saturating_sub(1)));
}

fn pool() -> Option<&'static Pool> {
    POOL.get_or_init(|| None).as_ref()
}

/// How many threads there are.
pub fn count() -> usize {
    pool().map_or(1, |pool| 1 + pool.helpers())
}

/// Runs `work` while the helpers are awake, so that each [`split`] within finds them at once.
pub fn enter<R>(work: impl FnOnce() -> R) -> R {
    let _awake = pool().map(Pool::wake);
    work()
}

/// Runs `work` for 0 to `tasks`, in any order, on as many threads as there are.
///
/// Within another split, or while the helpers are at another run's, the caller's thread does it all.
///
/// # Panics
/// If `work` does, after every thread has left it.
pub fn split(tasks: usize, work: impl Fn(usize) + Sync) {
    match pool() {
        Some(pool) if tasks > 1 => pool.run(tasks, &work),
        _ => (0..tasks).for_each(work),
    }
}

/// A slice whose parts are written by several threads.
pub(crate) struct Shared<'a, T> {
    start: *mut T,
    length: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: it stands for an exclusive borrow of the slice; whoever writes through it promises not to overlap.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len(), slice: PhantomData }
    }

    /// The address of an element.
    pub(crate) fn at(&self, index: usize) -> *mut T {
        debug_assert!(index <= self.length);
        self.start.wrapping_add(index)
    }
}
