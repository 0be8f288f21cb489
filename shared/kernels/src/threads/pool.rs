//! Helpers that take part in loops: awake while a model runs, asleep else.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Thread};

use super::job::{self, Job};

thread_local! {
    /// Whether this thread is within a loop, as its owner or as a helper.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// The helpers, and the loop that they look for.
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<Thread>,
}

struct Shared {
    job: Job,
    /// How many runs want the helpers awake.
    runs: AtomicUsize,
}

/// While it lives the helpers are awake.
pub(super) struct Awake<'a>(&'a Shared);

impl Pool {
    /// Starts so many helpers; none where there are none to start.
    pub(super) fn start(helpers: usize) -> Option<Self> {
        let shared = Arc::new(Shared { job: Job::new(), runs: AtomicUsize::new(0) });
        let start = |index| {
            let shared = Arc::clone(&shared);
            let builder = thread::Builder::new().name(format!("kernel-{index}"));
            Some(builder.spawn(move || help(&shared)).ok()?.thread().clone())
        };
        let threads: Vec<_> = (1..=helpers).map_while(start).collect();
        (!threads.is_empty()).then_some(Self { shared, threads })
    }

    /// How many helpers there are.
    pub(super) fn helpers(&self) -> usize {
        self.threads.len()
    }

    /// Wakes the helpers.
    pub(super) fn wake(&self) -> Awake<'_> {
        if self.shared.runs.fetch_add(1, Ordering::SeqCst) == 0 {
            self.threads.iter().for_each(Thread::unpark);
        }
        Awake(&self.shared)
    }

    /// Runs a loop on this thread, and on the helpers unless they are at another one.
    pub(super) fn run(&self, tasks: usize, work: &(dyn Fn(usize) + Sync)) {
        if BUSY.replace(true) {
            return (0..tasks).for_each(work);
        }
        let _free = Free;
        let _awake = self.wake();
        if !self.shared.job.offer(tasks, work) {
            (0..tasks).for_each(work);
        }
    }
}

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.runs.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Says that this thread is free again.
struct Free;

impl Drop for Free {
    fn drop(&mut self) {
        BUSY.set(false);
    }
}

/// The life of a helper.
fn help(shared: &Shared) {
    BUSY.set(true);
    let mut last = 0;
    loop {
        while shared.runs.load(Ordering::SeqCst) == 0 {
            thread::park();
        }
        // Each loop is joined once: whoever leaves it found no task left.
        let another = || ![0, last].contains(&shared.job.open());
        job::wait(|| another() || shared.runs.load(Ordering::Relaxed) == 0);
        if another() {
            last = shared.job.open();
            shared.job.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;

    use super::*;

    fn pool() -> Pool {
        Pool::start(3).unwrap()
    }

    #[test]
    fn every_task_is_done_once() {
        let pool = pool();
        let _awake = pool.wake();
        for tasks in (0..300).chain([10_000]) {
            let counts: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            pool.run(tasks, &|task| {
                counts[task].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{tasks} tasks");
        }
    }

    #[test]
    fn helpers_take_part() {
        let pool = pool();
        let seen = Mutex::new(HashSet::new());
        // The first task ends only when another thread has begun one.
        pool.run(2, &|_| {
            seen.lock().unwrap().insert(thread::current().id());
            job::wait(|| seen.lock().unwrap().len() == 2);
        });
        assert_eq!(seen.into_inner().unwrap().len(), 2);
    }

    #[test]
    fn loops_within_loops_and_beside_each_other_are_whole() {
        let pool = pool();
        let count = AtomicUsize::new(0);
        let loops = || {
            for _ in 0..200 {
                pool.run(5, &|_| {
                    pool.run(7, &|_| {
                        count.fetch_add(1, Ordering::Relaxed);
                    });
                });
            }
        };
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(loops);
            }
        });
        assert_eq!(count.into_inner(), 3 * 200 * 5 * 7);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        let pool = pool();
        for bad in 0..8 {
            let outcome = catch_unwind(AssertUnwindSafe(|| pool.run(8, &|task| assert_ne!(task, bad))));
            assert!(outcome.is_err(), "task {bad}");
        }
        let count = AtomicUsize::new(0);
        pool.run(8, &|_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.into_inner(), 8);
    }
}
