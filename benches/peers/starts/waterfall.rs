//! Where the time of a start goes, step by step, as text.

use std::fmt;

use serde_json::Value;

use super::contender::Start;
use super::place::Place;

/// How many letters the whole of a start takes.
const WIDTH: f64 = 60.0;

/// A step of a start, as a function tells it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    name: String,
    start_ms: f64,
    took_ms: f64,
}

impl Step {
    /// Reads a step of `cold_start`.
    pub(crate) fn read(step: &Value) -> Option<Self> {
        Some(Self {
            name: step["step"].as_str()?.to_owned(),
            start_ms: step["start_ms"].as_f64()?,
            took_ms: step["took_ms"].as_f64()?,
        })
    }
}

/// The steps of one start.
#[derive(Debug)]
pub(crate) struct Waterfall<'a> {
    title: String,
    steps: &'a [Step],
}

impl<'a> Waterfall<'a> {
    pub(crate) fn new(model: &str, place: Place, start: &'a Start) -> Self {
        Self {
            title: format!("{model}, {place}: first answer after {:.1} ms", start.milliseconds()),
            steps: &start.steps,
        }
    }
}

impl fmt::Display for Waterfall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        let end = self.steps.iter().map(|step| step.start_ms + step.took_ms).fold(0.0, f64::max);
        let column = |at: f64| (at / end * WIDTH).round() as usize;
        for Step { name, start_ms, took_ms } in self.steps {
            let (from, to) = (column(*start_ms), column(start_ms + took_ms));
            let bar = "█".repeat((to - from).max(1));
            writeln!(f, "{name:>12} {took_ms:>8.1} ms  {:from$}{bar}", "")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_begins_and_ends_where_its_step_does() {
        let step = |name: &str, start_ms, took_ms| Step { name: name.to_owned(), start_ms, took_ms };
        let steps = [step("exec", 0.0, 10.0), step("plan", 10.0, 50.0)];
        let text = Waterfall { title: "a start".to_owned(), steps: &steps }.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], format!("{:>12}     10.0 ms  {}", "exec", "█".repeat(10)));
        assert_eq!(lines[2], format!("{:>12}     50.0 ms  {:10}{}", "plan", "", "█".repeat(50)));
    }
}
