//! The developer's commands: `cargo xtask setup`, `test`, `bench`, `models`.

mod models;
mod python;
mod steps;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

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
    Bench(Bench),
    /// Pack the demo models again and make the new packages the ones in force
    Models(models::Request),
}

#[derive(Debug, Args)]
struct Bench {
    /// Arguments for the benchmark program; `-- --help` lists them
    #[arg(last = true)]
    arguments: Vec<String>,
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
        Action::Bench(Bench { arguments }) => bench(&workspace, &arguments),
        Action::Models(request) => models::repack(&workspace, &request),
    }
}

fn bench(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    python::set_up(workspace)?;
    let peers = ["run", "--release", "--package", "emberlite-benches", "--bin", "peers", "--"];
    workspace::succeed(workspace.cargo(peers).args(arguments))
}
