//! Named steps, each timed, all run, and a summary of them.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Steps that run one after the other, whatever becomes of each.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<Done>,
}

#[derive(Debug)]
struct Done {
    name: String,
    elapsed: Duration,
    failure: Option<String>,
}

impl Steps {
    /// Runs a step; answers whether it succeeded.
    pub(crate) fn run(&mut self, name: &str, step: impl FnOnce() -> Result<()>) -> bool {
        say(&format!("\n=== {name}"));
        let start = Instant::now();
        let failure = step().err().map(|error| format!("{error:#}"));
        let elapsed = start.elapsed();
        match &failure {
            None => say(&format!("--- {name}: {:.1} s", elapsed.as_secs_f64())),
            Some(reason) => say(&format!("--- {name} FAILED after {:.1} s: {reason}", elapsed.as_secs_f64())),
        }
        let succeeded = failure.is_none();
        self.done.push(Done { name: name.to_owned(), elapsed, failure });
        succeeded
    }

    /// Counts a step as failed that could not be begun.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        say(&format!("\n=== {name}\n--- {name} FAILED: {reason}"));
        self.done.push(Done { name: name.to_owned(), elapsed: Duration::ZERO, failure: Some(reason.to_owned()) });
    }

    /// Prints the summary.
    ///
    /// # Errors
    /// Any step that failed.
    pub(crate) fn finish(self) -> Result<()> {
        say("\n=== summary");
        for Done { name, elapsed, failure } in &self.done {
            let outcome = failure.as_deref().map_or("ok".to_owned(), |reason| format!("FAILED: {reason}"));
            say(&format!("{name:<12} {:>7.1} s  {outcome}", elapsed.as_secs_f64()));
        }
        let failed: Vec<_> = self.done.iter().filter(|done| done.failure.is_some()).map(|done| &*done.name).collect();
        if !failed.is_empty() {
            bail!("{} of {} steps failed: {}", failed.len(), self.done.len(), failed.join(", "));
        }
        Ok(())
    }
}

/// Prints a line before what the next command prints, which has an output of its own.
fn say(line: &str) {
    println!("{line}");
    drop(std::io::stdout().flush());
}
