//! `emberlite bench`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueHint};
use emberlite_cli::bench;

use crate::output::print;

#[derive(Debug, Args)]
pub(super) struct Bench {
    /// A package (.ember)
    #[arg(value_hint = ValueHint::FilePath)]
    package: PathBuf,
    /// Rows, texts or sequences of a run, separated by commas [default: 1,8,32]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = parse_count)]
    batch: Vec<usize>,
    /// Tokens of a text, a prompt or a context, separated by commas [default: those of 16,128,512 that the model reads]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = parse_count)]
    length: Vec<usize>,
    /// How many seconds each batch and length is measured
    #[arg(long, default_value = "1", value_parser = bench::parse_seconds)]
    seconds: Duration,
    /// How many threads compute [default: EMBER_THREADS, else the machine's cores]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub(super) threads: Option<usize>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Bench {
    /// Measures with so many threads.
    pub(super) fn run(self, threads: usize) -> Result<()> {
        let measured = bench::bench(&bench::Request {
            package: self.package,
            batches: self.batch,
            lengths: self.length,
            budget: bench::Budget::of(self.seconds),
            threads,
        })?;
        print(&measured, self.json)
    }
}

fn parse_count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "expected a number above 0".to_owned())
}
