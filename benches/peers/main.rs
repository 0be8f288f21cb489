//! The comparisons that need a clock of their own: Emberlite and what a user would write instead, in one run, in turn.

mod http;
mod line;
mod process;
mod report;
mod s3;
mod stand_in;
mod starts;
mod statistics;
mod table;
mod tables;
mod tls;

use anyhow::Result;
use clap::Parser;

/// Compares Emberlite with what a user would write instead; prints one table in Markdown.
#[derive(Debug, Parser)]
#[command(name = "peers", max_term_width = 100)]
enum Comparison {
    Tables(tables::Options),
    Starts(starts::Options),
}

fn main() -> Result<()> {
    match Comparison::parse() {
        Comparison::Tables(options) => tables::run(&options),
        Comparison::Starts(options) => starts::run(&options),
    }
}
