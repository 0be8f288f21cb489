//! What a command prints.

use std::fmt::Display;
use std::io::Write as _;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// A report for people, or as JSON.
pub(super) fn print(report: &(impl Serialize + Display), json: bool) -> Result<()> {
    let text = if json { serde_json::to_string_pretty(report)? } else { report.to_string() };
    write_line(&text)
}

pub(super) fn write_line(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context("can't write to standard output")
}
