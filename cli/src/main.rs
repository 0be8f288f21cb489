//! The command `emberlite`.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use emberlite::config::Config;
use emberlite::engine;
use emberlite::model::{ModelName, Task};
use emberlite::store::{Location, S3Settings, Store};
use emberlite_cli::pack::{self, Report, Request};
use emberlite_cli::recipe::Recipe;
use emberlite_cli::{inspect, push, serve};
use serde::Serialize;

/// Serves small models from serverless functions: pack a model into one file, push it to a store, try it on a page.
#[derive(Debug, Parser)]
#[command(name = "emberlite", version, max_term_width = 100)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a package of a model file and check it against the file
    Pack(Pack),
    /// Show what is in a package
    Inspect(Inspect),
    /// Put a package into a store and make it the one in force
    Push(Push),
    /// Serve models on one port, with a page to try them
    Serve(Serve),
}

#[derive(Debug, Args)]
struct Pack {
    /// A model file (.onnx), a recipe (pack.toml), or the folder of one
    source: PathBuf,
    /// Where the package goes [default: NAME.ember]
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// The model's name in URLs and in the store [default: the file's name]
    #[arg(long)]
    name: Option<ModelName>,
    /// What the model is for
    #[arg(long, value_parser = parse_task)]
    task: Option<Task>,
    /// The classes in the order of their ids, separated by commas
    #[arg(long, value_delimiter = ',')]
    labels: Vec<String>,
    /// The recipe for a model file that has none beside it
    #[arg(long)]
    recipe: Option<PathBuf>,
    /// A JSON file whose value goes into a request's "input": the package must answer it as the model does (repeatable)
    #[arg(long)]
    input: Vec<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Inspect {
    /// A package (.ember)
    file: PathBuf,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Push {
    /// A package (.ember), or a model file or recipe folder to pack on the way
    source: PathBuf,
    /// A folder's path or s3://bucket/prefix
    #[arg(long, env = "EMBER_STORE")]
    store: String,
    #[command(flatten)]
    s3: S3,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct S3 {
    /// The S3 endpoint where it is not AWS: MinIO, GCS, OSS, …
    #[arg(long, env = "EMBER_S3_ENDPOINT")]
    s3_endpoint: Option<String>,
    /// Whether the bucket is in the path of S3 requests [default: true with an endpoint]
    #[arg(long, env = "EMBER_S3_PATH_STYLE")]
    s3_path_style: Option<bool>,
}

#[derive(Debug, Args)]
struct Serve {
    /// Packages, model files, recipe folders, or one store [default: the demo models of the checkout]
    sources: Vec<String>,
    /// The port to listen on; 0 picks a free one
    #[arg(long, env = "PORT", default_value_t = 8080)]
    port: u16,
    /// The address to listen on
    #[arg(long, env = "EMBER_HOST", default_value = "127.0.0.1")]
    host: String,
}

fn parse_task(text: &str) -> Result<Task, String> {
    serde_json::from_value(text.into()).map_err(|_| "expected predict, embed, classify or rerank".to_owned())
}

fn main() -> ExitCode {
    let command = Command::parse();
    match run(command.action) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Result<()> {
    let (threads, isa) = Config::compute(|name| std::env::var(name).ok())?;
    engine::prepare(threads, isa);
    match action {
        Action::Pack(args) => pack(args),
        Action::Inspect(args) => print(&inspect::inspect(&args.file)?, args.json),
        Action::Push(args) => push(args),
        Action::Serve(args) => runtime()?.block_on(serve::serve(serve::Request {
            sources: args.sources,
            host: args.host,
            port: args.port,
        })),
    }
}

fn pack(args: Pack) -> Result<()> {
    let mut recipe = match &args.recipe {
        Some(file) => Recipe { model: args.source, ..Recipe::read(file)? },
        None => Recipe::find(&args.source)?,
    };
    recipe.name = args.name.or(recipe.name);
    recipe.task = args.task.or(recipe.task);
    if !args.labels.is_empty() {
        recipe.labels = args.labels;
    }
    let inputs = args.input.iter().map(|file| {
        let text = fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", file.display()))
    });
    let request = Request { recipe, inputs: inputs.collect::<Result<_>>()? };
    let packed = pack::pack(&request)?;
    let output = args.output.unwrap_or_else(|| format!("{}.ember", packed.manifest.name).into());
    pack::save(&packed, &output)?;
    print(&Report::new(&packed, &output), args.json)
}

fn push(args: Push) -> Result<()> {
    let settings = S3Settings { endpoint: args.s3.s3_endpoint, path_style: args.s3.s3_path_style };
    let store = Store::new(Location::parse(&args.store, settings)?);
    let pushed = runtime()?.block_on(push::push(&args.source, &store))?;
    print(&pushed, args.json)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime can't start")
}

fn print(report: &(impl Serialize + std::fmt::Display), json: bool) -> Result<()> {
    let text = if json { serde_json::to_string_pretty(report)? } else { report.to_string() };
    writeln!(std::io::stdout(), "{text}").context("can't write to standard output")
}
