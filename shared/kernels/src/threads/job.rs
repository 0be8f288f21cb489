//! The loop that several threads work on: offered, joined, and over only when nobody is in it.

use std::cell::UnsafeCell;
use std::hint;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

type Work = dyn Fn(usize) + Sync;

/// How often a thread looks again before it lets others on its core.
const SPINS: usize = 1 << 10;

/// A place for one loop at a time.
pub(super) struct Job {
    /// Whether somebody offers a loop here, or is about to.
    taken: AtomicBool,
    /// The number of the loop that may be joined; 0 for none.
    open: AtomicUsize,
    /// How many loops there have been.
    loops: AtomicUsize,
    /// How many helpers are at it.
    inside: AtomicUsize,
    /// The next task, and how many there are.
    next: AtomicUsize,
    tasks: AtomicUsize,
    panicked: AtomicBool,
    /// Valid while `open` is not 0 or somebody is inside.
    work: UnsafeCell<Option<*const Work>>,
}

// SAFETY: `work` is written only by whoever took the job, while it is closed and nobody is inside, and read only inside.
unsafe impl Sync for Job {}
// SAFETY: the pointer is that of a closure which may be shared between threads.
unsafe impl Send for Job {}

impl Job {
    pub(super) const fn new() -> Self {
        Self {
            taken: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            loops: AtomicUsize::new(0),
            inside: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            tasks: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            work: UnsafeCell::new(None),
        }
    }

    /// The number of the loop that may be joined; 0 for none.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Runs the loop with whoever joins it; `false`, and nothing done, where another one is under way.
    pub(super) fn offer(&self, tasks: usize, work: &(dyn Fn(usize) + Sync)) -> bool {
        if self.taken.swap(true, Ordering::Acquire) {
            return false;
        }
        // SAFETY: the job is taken and closed, and nobody is inside. The closure outlives the loop, since this function
        // does not return before the job is closed again and everybody has left it.
        unsafe {
            *self.work.get() = Some(std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const Work>(work))
        };
        self.next.store(0, Ordering::Relaxed);
        self.tasks.store(tasks, Ordering::Relaxed);
        self.panicked.store(false, Ordering::Relaxed);
        self.open.store(1 + self.loops.fetch_add(1, Ordering::Relaxed), Ordering::SeqCst);
        let outcome = catch_unwind(AssertUnwindSafe(|| self.take_tasks(work)));
        if outcome.is_err() {
            self.next.store(tasks, Ordering::Relaxed);
        }
        self.open.store(0, Ordering::SeqCst);
        wait(|| self.inside.load(Ordering::SeqCst) == 0);
        let panicked = self.panicked.load(Ordering::Relaxed);
        self.taken.store(false, Ordering::Release);
        match outcome {
            Err(panic) => resume_unwind(panic),
            Ok(()) if panicked => resume_unwind(Box::new("a thread of the kernels panicked")),
            Ok(()) => true,
        }
    }

    /// Works on the loop that is open, if there is one.
    pub(super) fn join(&self) {
        self.inside.fetch_add(1, Ordering::SeqCst);
        // Whoever closes the job either is seen here, or sees that somebody is inside and waits.
        if self.open.load(Ordering::SeqCst) != 0 {
            // SAFETY: the job was open while this thread was inside, so the closure lives until it has left.
            let work = unsafe { (*self.work.get()).map(|work| &*work) };
            let run = || work.into_iter().for_each(|work| self.take_tasks(work));
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
        }
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }

    fn take_tasks(&self, work: &(dyn Fn(usize) + Sync)) {
        let tasks = self.tasks.load(Ordering::Relaxed);
        loop {
            let task = self.next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                return;
            }
            work(task);
        }
    }
}

/// Waits for something that is about to happen.
pub(super) fn wait(mut happened: impl FnMut() -> bool) {
    loop {
        for _ in 0..SPINS {
            if happened() {
                return;
            }
            hint::spin_loop();
        }
        thread::yield_now();
    }
}
