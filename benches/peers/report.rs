//! What is told of a comparison: a table for people, the same numbers with their spreads for programs.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::table::{Row, Table};

/// A comparison that was made.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    /// What Emberlite was compared with.
    pub(crate) peer: &'a str,
    pub(crate) rows: &'a [Row],
    /// What the peer is made of.
    pub(crate) versions: &'a str,
}

impl Report<'_> {
    /// Prints the table, and writes the numbers to a file where one is named.
    pub(crate) fn tell(&self, json: Option<&Path>) -> Result<()> {
        let conditions = self.conditions()?;
        if let Some(path) = json {
            let rows: Vec<Value> = self.rows.iter().map(Row::to_json).collect();
            let text = serde_json::to_string_pretty(&json!({ "conditions": conditions, "rows": rows }))?;
            fs::write(path, text).with_context(|| format!("can't write {}", path.display()))?;
        }
        let table = Table { peer: self.peer, rows: self.rows };
        println!("{table}\nMedians, in brackets the middle half. {conditions}");
        Ok(())
    }

    /// Where and with what was measured.
    fn conditions(&self) -> Result<String> {
        let cpu = fs::read_to_string("/proc/cpuinfo")?;
        let name = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let name = name.map_or("unknown CPU", |(_, name)| name.trim());
        let cores = thread::available_parallelism()?;
        Ok(format!("{name}, {cores} cores; {}.", self.versions))
    }
}

/// Progress, for whoever watches; the report alone goes to standard output.
pub(crate) fn tell(text: &str) {
    // A standard error that is closed is no reason to stop measuring.
    drop(writeln!(std::io::stderr(), "{text}"));
}
