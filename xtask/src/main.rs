//! The developer's commands: `cargo xtask setup`, `test`, `bench`, `models`.

mod bench;
mod models;
mod python;
mod steps;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// The developer's commands. Run them anywhere in the checkout.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the Python environments in .venv, and fetch the encoder, that the tests and benchmarks use
    Setup,
    /// Set up, then check and test everything; every step runs, whatever failed before it
    Test(test::Request),
    /// Compare Emberlite with its peers and print one table
    Bench(bench::Request),
    /// Pack the demo models again and make the new packages the ones in force
    Models(models::Request),
}

fn main() -> ExitCode {
    match run(Command::parse().action) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Result<()> {
    let workspace = Workspace::find()?;
    match action {
        Action::Setup => python::set_up(&workspace),
        Action::Test(request) => test::run(&workspace, &request),
        Action::Bench(request) => bench::run(&workspace, &request),
        Action::Models(request) => models::repack(&workspace, &request),
    }
}
