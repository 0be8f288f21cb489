//! Progress of long work, on a terminal.

use std::time::Duration;

use indicatif::ProgressBar;

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

    /// Goes on to another step.
    pub fn step(&self, step: impl Into<String>) {
        self.0.set_message(step.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
