//! Progress of long work: on a terminal a line that says what is done and how long it may take, elsewhere nothing, or a line
//! for each step where that is asked for.

use std::fmt::Write;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle, WeakProgressBar};

const STEP: &str = "{spinner} {msg}{gone}";
const PARTS: &str = "{spinner} {msg} {bar:20} {pos}/{len}{gone}{left}";
const BYTES: &str = "{spinner} {msg} {bar:20} {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}{left}";
/// Times below this are not told.
const SHORT: Duration = Duration::from_secs(1);

/// What is shown now, to be cleared when the process ends early.
static SHOWN: Mutex<Vec<WeakProgressBar>> = Mutex::new(Vec::new());
static PLAIN: AtomicBool = AtomicBool::new(false);

/// Shows what is being done until it is dropped; silent where standard error is no terminal.
#[derive(Debug)]
pub struct Progress(Option<ProgressBar>);

impl Progress {
    /// Starts with a first step.
    pub fn start(step: impl Into<String>) -> Self {
        let bar = if is_plain() { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(100));
            let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
            shown.retain(|bar| bar.upgrade().is_some());
            shown.push(bar.downgrade());
        }
        let progress = Self(Some(bar));
        progress.step(step);
        progress
    }

    /// Shows nothing.
    pub fn silent() -> Self {
        Self(None)
    }

    /// Says more of the step that is being done.
    pub fn say(&self, what: impl Into<String>) {
        self.shown(|bar| bar.set_message(what.into()));
    }

    /// Goes on to another step.
    pub fn step(&self, step: impl Into<String>) {
        self.begin(STEP, step.into(), None);
    }

    /// Goes on to a step of so many parts.
    pub fn count(&self, step: impl Into<String>, parts: usize) {
        self.begin(PARTS, step.into(), Some(parts as u64));
    }

    /// Goes on to a step of so many bytes.
    pub fn bytes(&self, step: impl Into<String>, bytes: u64) {
        self.begin(BYTES, step.into(), Some(bytes));
    }

    /// One of the parts is done.
    pub fn advance(&self) {
        self.shown(|bar| bar.inc(1));
    }

    /// So many parts or bytes are done.
    pub fn add(&self, done: u64) {
        self.shown(|bar| bar.inc(done));
    }

    /// So many parts or bytes were done already when the step began: they tell nothing of how long the others take.
    pub fn skip(&self, done: u64) {
        self.shown(|bar| {
            bar.inc(done);
            bar.reset_eta();
        });
    }

    /// So many bytes that were done have to be done again.
    pub fn take_back(&self, lost: u64) {
        self.shown(|bar| bar.dec(lost));
    }

    /// Tells something above what moves.
    pub fn tell(&self, line: impl AsRef<str>) {
        if is_plain() {
            drop(writeln!(std::io::stderr(), "{}", line.as_ref()));
        }
        self.shown(|bar| bar.println(line));
    }

    fn begin(&self, template: &str, step: String, length: Option<u64>) {
        let Some(bar) = &self.0 else { return };
        if is_plain() {
            drop(writeln!(std::io::stderr(), "{step}"));
        }
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        bar.set_style(style.with_key("gone", gone).with_key("left", left));
        bar.set_message(step);
        match length {
            Some(length) => bar.set_length(length),
            None => bar.unset_length(),
        }
        bar.reset();
    }

    fn shown(&self, change: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = &self.0 {
            change(bar);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.shown(ProgressBar::finish_and_clear);
    }
}

/// Tells each step in a line of its own on standard error, whatever that is, in the place of what moves.
pub fn tell_steps() {
    PLAIN.store(true, Ordering::Relaxed);
}

fn is_plain() -> bool {
    PLAIN.load(Ordering::Relaxed)
}

/// Clears what is shown.
pub(crate) fn clear() {
    // Whoever holds it only shows something new: no reason to wait for a process that ends.
    let Ok(shown) = SHOWN.try_lock() else { return };
    for bar in shown.iter().filter_map(WeakProgressBar::upgrade) {
        bar.finish_and_clear();
    }
}

fn gone(state: &ProgressState, text: &mut dyn Write) {
    if state.elapsed() >= SHORT {
        let _ = write!(text, ", {:#} so far", HumanDuration(state.elapsed()));
    }
}

/// The time left, once there is something to tell it from.
fn left(state: &ProgressState, text: &mut dyn Write) {
    let known = state.pos() > 0 && state.elapsed() >= SHORT && !state.eta().is_zero();
    if known {
        let _ = write!(text, ", {:#} left", HumanDuration(state.eta()));
    }
}
