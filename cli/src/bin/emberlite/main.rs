//! The command `emberlite`: each action with its flags has a file.

mod bench;
mod completions;
mod inspect;
mod output;
mod pack;
mod pull;
mod push;
mod search;
mod serve;
mod texts;
mod verify;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use emberlite::config::Config;
use emberlite::engine;
use emberlite::telemetry::cold_start;
use emberlite_cli::{interrupt, keygen, progress, sign};
use output::print;

/// Serves small models from serverless functions: pack a model into one file, push it to a store, try it on a page.
#[derive(Debug, Parser)]
#[command(name = "emberlite", version, max_term_width = 100)]
struct Command {
    /// Tell each step in a line of its own on standard error, in the place of a line that moves
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a package of a model file and check it against the file
    Pack(Box<pack::Pack>),
    /// Show what is in a package
    Inspect(inspect::Inspect),
    /// Make a key to sign packages with, or to encrypt them with
    Keygen(Keygen),
    /// Add a signature to a package
    Sign(sign::Request),
    /// Compare a package with the model it was made from, and refuse it where it lost too much
    Verify(Box<verify::Verify>),
    /// Put a package into a store and make it the one in force
    Push(push::Push),
    /// Serve models on one port, with a page to try them
    Serve(serve::Serve),
    /// Measure a package's latency, throughput and memory by batch and length
    Bench(bench::Bench),
    /// Download a model's folder from a hub
    Pull(pull::Pull),
    /// Print what a shell needs to complete this command's arguments
    #[command(after_help = completions::COMPLETIONS)]
    Completions(completions::Completions),
}

#[derive(Debug, Args)]
struct Keygen {
    #[command(flatten)]
    request: keygen::Request,
    /// Print what was made as JSON, without what is secret
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    cold_start::entered_main();
    let command = Command::parse();
    if command.verbose {
        progress::tell_steps();
    }
    match run(command.action) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Result<()> {
    interrupt::watch()?;
    let (threads, isa) = Config::compute(|name| std::env::var(name).ok())?;
    let threads = match &action {
        Action::Bench(bench) => bench.threads.unwrap_or(threads),
        Action::Pack(pack) => pack.threads().unwrap_or(threads),
        _ => threads,
    };
    engine::prepare(threads, isa);
    match action {
        Action::Pack(pack) => pack.run(),
        Action::Inspect(inspect) => inspect.run(),
        Action::Keygen(args) => print(&keygen::keygen(&args.request)?, args.json),
        Action::Sign(request) => print(&sign::sign(&request)?, request.json),
        Action::Verify(verify) => verify.run(),
        Action::Push(push) => push.run(),
        Action::Serve(serve) => serve.run(),
        Action::Bench(bench) => bench.run(threads),
        Action::Pull(pull) => pull.run(),
        Action::Completions(completions) => completions.run(),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime can't start")
}
