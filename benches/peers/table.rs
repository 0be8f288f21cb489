//! The table: a line for each thing measured, the contenders side by side.

use std::fmt;

use serde_json::{Value, json};

use crate::statistics::Sample;

/// What is counted, and whether less or more of it is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Milliseconds,
    /// Values are bytes.
    Megabytes,
    PerSecond,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    what: String,
    model: String,
    unit: Unit,
    ours: Option<Sample>,
    peer: Option<Sample>,
    /// How many times less time or memory Emberlite takes, or how many times more it answers.
    advantage: Option<Sample>,
    /// What Emberlite's value is to be, in words.
    aim: String,
}

impl Row {
    /// A line of values that were taken in turn; a contender that has none is left out.
    pub(crate) fn new(what: impl Into<String>, model: &str, unit: Unit, ours: Vec<f64>, peer: Vec<f64>) -> Self {
        let advantage = match unit {
            Unit::Milliseconds | Unit::Megabytes => Sample::ratios(&peer, &ours),
            Unit::PerSecond => Sample::ratios(&ours, &peer),
        };
        let (ours, peer) = (Sample::new(ours), Sample::new(peer));
        Self { what: what.into(), model: model.to_owned(), unit, ours, peer, advantage, aim: String::new() }
    }

    /// The line with what Emberlite's value is to be.
    pub(crate) fn aiming_at(self, aim: impl Into<String>) -> Self {
        Self { aim: aim.into(), ..self }
    }

    pub(crate) fn to_json(&self) -> Value {
        let sample = |sample: &Option<Sample>| sample.as_ref().map(Sample::to_json);
        json!({
            "what": self.what,
            "model": self.model,
            "unit": self.unit.name(),
            "emberlite": sample(&self.ours),
            "peer": sample(&self.peer),
            "advantage": sample(&self.advantage),
            "aim": self.aim,
        })
    }
}

impl Unit {
    /// The unit of values as they are kept.
    fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Megabytes => "bytes",
            Self::PerSecond => "1/s",
        }
    }

    fn shown(self) -> (&'static str, f64) {
        match self {
            Self::Milliseconds => (" ms", 1.0),
            Self::Megabytes => (" MB", 1e-6),
            Self::PerSecond => ("/s", 1.0),
        }
    }

    fn comparative(self) -> &'static str {
        match self {
            Self::Milliseconds | Self::Megabytes => "less",
            Self::PerSecond => "more",
        }
    }
}

/// The whole table as Markdown.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    /// What Emberlite is compared with.
    pub(crate) peer: &'a str,
    pub(crate) rows: &'a [Row],
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | model | Emberlite | {} | factor | aim |", self.peer)?;
        writeln!(f, "|---|---|--:|--:|--:|---|")?;
        for row in self.rows {
            let (unit, scale) = row.unit.shown();
            let cell = |sample: &Option<Sample>| cell(sample.as_ref(), unit, scale);
            let advantage = match &row.advantage {
                Some(sample) => format!("{} {}", cell_of(sample, "×", 1.0), row.unit.comparative()),
                None => String::new(),
            };
            let Row { what, model, ours, peer, aim, .. } = row;
            writeln!(f, "| {what} | {model} | {} | {} | {advantage} | {aim} |", cell(ours), cell(peer))?;
        }
        Ok(())
    }
}

fn cell(sample: Option<&Sample>, unit: &str, scale: f64) -> String {
    sample.map_or_else(String::new, |sample| cell_of(sample, unit, scale))
}

/// The median, and the middle half where there is a spread.
fn cell_of(sample: &Sample, unit: &str, scale: f64) -> String {
    let (low, high) = sample.middle_half();
    let [low, median, high] = [low, sample.median(), high].map(|value| number(value * scale));
    if low == high { format!("{median}{unit}") } else { format!("{median}{unit} ({low}–{high})") }
}

/// A number with three digits that count.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_median_spread_and_advantage() {
        let rows = [
            Row::new("time", "m", Unit::Milliseconds, vec![1.0, 2.0, 3.0], vec![10.0, 20.0, 30.0]),
            Row::new("size", "", Unit::Megabytes, vec![2e6], vec![]).aiming_at("1 MB"),
        ];
        let text = Table { peer: "peer", rows: &rows }.to_string();
        let lines: Vec<_> = text.lines().skip(2).collect();
        let expected = [
            "| time | m | 2.00 ms (1.50–2.50) | 20.0 ms (15.0–25.0) | 10.0× less |  |",
            "| size |  | 2.00 MB |  |  | 1 MB |",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn more_answers_are_better() {
        let row = Row::new("rate", "m", Unit::PerSecond, vec![300.0], vec![100.0]);
        let table = Table { peer: "peer", rows: &[row] }.to_string();
        assert!(table.ends_with("| 300/s | 100/s | 3.00× more |  |\n"), "{table}");
    }
}
