//! Where the time of a cold start goes: from the start of the process to a model's first run, step by step.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// A step of a cold start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// From the start of the process to `main`: the binary is mapped and relocated. Told in CPU time.
    Exec,
    /// From `main` until requests are waited for: configuration, log, threads, the listening socket.
    Init,
    /// Until something asks for the model. No part of the whole.
    Wait,
    /// The store's client is built: credentials' source, root certificates.
    Client,
    /// The model's pointer is read.
    Pointer,
    /// From asking for the package to its first byte; for a file, mapping it.
    FirstByte,
    /// From the first byte of the package to its last.
    Download,
    /// The key of an encrypted package is unwrapped, and the package decrypted.
    Decrypt,
    /// The package is checked against its digest, as far as that was not done as it came; its manifest is read.
    Digest,
    /// The graph's text becomes a graph with its weights.
    Graph,
    /// The graph is made ready to run.
    Plan,
    /// The tokenizer is built, while the graph is read.
    Tokenizer,
    /// The model runs for the first time.
    FirstRun,
}

impl Step {
    /// Every step, in the order in which they begin.
    pub const ALL: [Self; 13] = [
        Self::Exec,
        Self::Init,
        Self::Wait,
        Self::Client,
        Self::Pointer,
        Self::FirstByte,
        Self::Download,
        Self::Decrypt,
        Self::Digest,
        Self::Graph,
        Self::Plan,
        Self::Tokenizer,
        Self::FirstRun,
    ];

    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Init => "init",
            Self::Wait => "wait",
            Self::Client => "client",
            Self::Pointer => "pointer",
            Self::FirstByte => "first_byte",
            Self::Download => "download",
            Self::Decrypt => "decrypt",
            Self::Digest => "digest",
            Self::Graph => "graph",
            Self::Plan => "plan",
            Self::Tokenizer => "tokenizer",
            Self::FirstRun => "first_run",
        }
    }
}

/// When a step began, from the origin of its timeline, and how long it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The step.
    pub step: Step,
    /// When it began.
    pub start: Duration,
    /// How long it took.
    pub took: Duration,
}

/// The steps of one load of a model, up to its first run. The first load of a process begins with the process.
#[derive(Debug)]
pub struct Timeline {
    origin: Instant,
    spans: Mutex<Vec<Span>>,
    has_run: AtomicBool,
}

/// When the process was started, and when it reached `main` and began to wait.
#[derive(Debug)]
struct Process {
    started: Instant,
    main: Instant,
    ready: OnceLock<Instant>,
    /// Whether a load has begun with it.
    is_told: AtomicBool,
}

static PROCESS: OnceLock<Process> = OnceLock::new();

/// Notes that the process has reached `main`; call it first thing there.
pub fn entered_main() {
    PROCESS.get_or_init(|| {
        let used = clock_gettime(ClockId::ProcessCPUTime);
        let used = Duration::new(used.tv_sec.try_into().unwrap_or(0), used.tv_nsec.try_into().unwrap_or(0));
        let main = Instant::now();
        let started = main.checked_sub(used).unwrap_or(main);
        Process { started, main, ready: OnceLock::new(), is_told: AtomicBool::new(false) }
    });
}

/// Notes that the process waits for requests.
pub fn is_ready() {
    if let Some(process) = PROCESS.get() {
        process.ready.get_or_init(Instant::now);
    }
}

impl Default for Timeline {
    /// A load that begins now.
    fn default() -> Self {
        Self::since(Instant::now())
    }
}

impl Timeline {
    /// A load that begins now, or with the process where it is the first.
    pub fn of_process() -> Self {
        let now = Instant::now();
        let Some(process) = PROCESS.get().filter(|process| !process.is_told.swap(true, Ordering::Relaxed)) else {
            return Self::since(now);
        };
        let timeline = Self::since(process.started);
        let ready = process.ready.get().map_or(now, |ready| (*ready).min(now));
        timeline.add(Step::Exec, process.started, process.main);
        timeline.add(Step::Init, process.main, ready);
        timeline.add(Step::Wait, ready, now);
        timeline
    }

    fn since(origin: Instant) -> Self {
        Self { origin, spans: Mutex::default(), has_run: AtomicBool::new(false) }
    }

    /// Notes a step that began at `start` and ends now.
    pub fn end(&self, step: Step, start: Instant) {
        self.add(step, start, Instant::now());
    }

    /// Notes a step.
    pub fn add(&self, step: Step, start: Instant, end: Instant) {
        let span = Span {
            step,
            start: start.saturating_duration_since(self.origin),
            took: end.saturating_duration_since(start),
        };
        self.lock().push(span);
    }

    /// Does `work` as a step.
    pub fn measure<T>(&self, step: Step, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.end(step, start);
        done
    }

    /// Notes that a run which began at `start` has ended; answers whether it was the first.
    pub fn ran(&self, start: Instant) -> bool {
        let first = !self.has_run.swap(true, Ordering::Relaxed);
        if first {
            self.end(Step::FirstRun, start);
        }
        first
    }

    /// Whether the model has run.
    pub fn is_whole(&self) -> bool {
        self.lock().iter().any(|span| span.step == Step::FirstRun)
    }

    /// The steps by when they began.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans = self.lock().clone();
        spans.sort_by_key(|span| span.start);
        spans
    }

    /// How long a step took in all; `None` where there was none.
    pub fn took(&self, step: Step) -> Option<Duration> {
        let took: Vec<_> = self.lock().iter().filter(|span| span.step == step).map(|span| span.took).collect();
        (!took.is_empty()).then(|| took.into_iter().sum())
    }

    /// From the origin to the end of the last step, less what was waited.
    pub fn total(&self) -> Duration {
        let end = self.lock().iter().map(|span| span.start + span.took).max().unwrap_or_default();
        end.saturating_sub(self.took(Step::Wait).unwrap_or_default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Span>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_waited_is_no_part_of_the_whole() {
        let origin = Instant::now();
        let at = |milliseconds| origin + Duration::from_millis(milliseconds);
        let timeline = Timeline::since(origin);
        timeline.add(Step::Plan, at(1030), at(1042));
        timeline.add(Step::Init, at(0), at(20));
        timeline.add(Step::Wait, at(20), at(1020));
        timeline.add(Step::Tokenizer, at(1030), at(1040));
        assert_eq!(timeline.total(), Duration::from_millis(42));
        assert_eq!(timeline.took(Step::Plan), Some(Duration::from_millis(12)));
        assert_eq!(timeline.took(Step::Client), None);
        let order: Vec<_> = timeline.spans().iter().map(|span| span.step).collect();
        assert_eq!(order[..2], [Step::Init, Step::Wait]);
    }

    #[test]
    fn only_the_first_run_counts() {
        let timeline = Timeline::since(Instant::now());
        assert!(!timeline.is_whole());
        assert!(timeline.ran(Instant::now()));
        let first = timeline.took(Step::FirstRun);
        assert!(!timeline.ran(Instant::now()) && timeline.is_whole());
        assert_eq!(timeline.took(Step::FirstRun), first);
    }
}
