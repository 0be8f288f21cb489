//! Progress of long work, on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Shows what is being done until it is dropped; silent where standard error is no terminal.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Starts with a first step.
    pub fn start(step: impl Into<String>) -> Self {
        let bar = ProgressBar::new_spinner().with_message(step.into());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// Shows nothing.
    pub fn silent() -> Self {
        Self(ProgressBar::hidden())
    }

    /// Goes on to another step.
    pub fn step(&self, step: impl Into<String>) {
        self.0.set_style(ProgressStyle::default_spinner());
        self.0.set_message(step.into());
    }

    /// Goes on to a step of so many parts.
    pub fn count(&self, step: impl Into<String>, parts: usize) {
        let style = ProgressStyle::with_template("{spinner} {msg} {bar:30} {pos}/{len}");
        self.0.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.0.set_message(step.into());
        self.0.set_length(parts as u64);
        self.0.set_position(0);
    }

    /// One of the parts is done.
    pub fn advance(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
