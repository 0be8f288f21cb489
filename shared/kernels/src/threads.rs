//! The threads that one model run may use: a pool shared by all runs, entered once per run.

use std::marker::PhantomData;
use std::sync::OnceLock;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();

/// Uses this many threads from now on. It has to be said before the first kernel runs; afterwards it changes nothing.
/// Without it there is one thread, the caller's.
pub fn set(count: usize) {
    POOL.get_or_init(|| build(count));
}

fn build(count: usize) -> Option<ThreadPool> {
    if count < 2 {
        return None;
    }
    ThreadPoolBuilder::new().num_threads(count).thread_name(|index| format!("kernel-{index}")).build().ok()
}

fn pool() -> Option<&'static ThreadPool> {
    POOL.get_or_init(|| None).as_ref()
}

/// How many threads there are.
pub fn count() -> usize {
    pool().map_or(1, ThreadPool::current_num_threads)
}

/// Runs `work` on one of the pool's threads, where [`split`] finds the others awake.
pub fn enter<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match pool() {
        Some(pool) => pool.install(work),
        None => work(),
    }
}

/// Runs `work` for 0 to `tasks`, in any order, on as many threads as there are.
pub fn split(tasks: usize, work: impl Fn(usize) + Sync + Send) {
    match pool() {
        Some(pool) if tasks > 1 => pool.install(|| (0..tasks).into_par_iter().for_each(work)),
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
