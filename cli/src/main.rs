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
use emberlite::ops::Pooling;
use emberlite::store::{Location, S3Settings, Store};
use emberlite::telemetry::cold_start;
use emberlite_cli::pack::{self, Report, Request};
use emberlite_cli::prune;
use emberlite_cli::quantize::{RangeMethod, Scheme, Smooth};
use emberlite_cli::recipe::Recipe;
use emberlite_cli::texts::TextFile;
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
    Pack(Box<Pack>),
    /// Show what is in a package
    Inspect(Inspect),
    /// Put a package into a store and make it the one in force
    Push(Push),
    /// Serve models on one port, with a page to try them
    Serve(Serve),
}

#[derive(Debug, Args)]
struct Pack {
    /// A model file (.onnx, .gguf), a recipe (pack.toml), the folder of one, or a Hugging Face folder
    source: PathBuf,
    /// Where the package goes [default: NAME.ember]
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// The model's name in URLs and in the store [default: the file's name]
    #[arg(long)]
    name: Option<ModelName>,
    /// What the model is for: predict, embed, classify, rerank or generate [default: what its folder tells]
    #[arg(long, value_parser = parse_task)]
    task: Option<Task>,
    /// The classes in the order of their ids, separated by commas
    #[arg(long, value_delimiter = ',')]
    labels: Vec<String>,
    /// The recipe for a model file that has none beside it
    #[arg(long)]
    recipe: Option<PathBuf>,
    /// What to take out, in this order: neurons, heads, layers, low-rank, channels or trees, each with the part that goes
    /// (repeatable)
    #[arg(long, value_name = "METHOD=PART")]
    prune: Vec<prune::Step>,
    #[command(flatten)]
    texts: Texts,
    /// A JSON file whose value goes into a request's "input": the package must answer it as the model does (repeatable)
    #[arg(long)]
    input: Vec<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// What a model of texts makes of them, and how its weights are written down
#[derive(Debug, Args)]
#[command(next_help_heading = "Models of texts")]
struct Texts {
    /// How weights are written down [default: int8, for language models q4; the report shows what that costs]
    #[arg(long)]
    quantize: Option<Scheme>,
    /// Layers to keep in a higher precision, by names in which * stands for any text; auto keeps those that int8 costs
    /// more than 0.001 of the cosine (repeatable)
    #[arg(long, value_name = "PATTERN")]
    keep: Vec<String>,
    /// Texts to calibrate with and to measure the loss on: one a line, or a .csv, .tsv or .jsonl file [default: built-in
    /// sentences]
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// How the fixed ranges of int8-static are found: min-max, entropy, percentile or percentile=99.9 [default:
    /// percentile=99.99]
    #[arg(long, value_name = "METHOD")]
    range: Option<RangeMethod>,
    /// Divide the inputs of layers by what their weights are multiplied with, so that outliers cost less: by how much is
    /// searched, or said as an exponent from 0 to 1 [default: only with q4-awq]
    #[arg(long, value_name = "EXPONENT", num_args = 0..=1, default_missing_value = "true")]
    smooth: Option<Smooth>,
    /// What the model may lose with --quantize auto: 1 - cosine, or for a language model the divergence of its
    /// predictions [default: 0.01]
    #[arg(long, value_name = "LOSS")]
    budget: Option<f64>,
    /// The text that a language model's perplexity is measured on, before and after [default: the calibration's]
    #[arg(long, value_name = "FILE")]
    perplexity: Option<PathBuf>,
    /// Keep only the tokens that these texts need; a file as for --calibration
    #[arg(long, value_name = "FILE")]
    vocab_from: Option<PathBuf>,
    /// The column or field of those files that holds the text [default: text]
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// The longest text in tokens; what is beyond is cut off, and where a language model ends
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// How the tokens' vectors become one: cls, mean, max, mean_sqrt or last_token
    #[arg(long, value_parser = parse_pooling)]
    pooling: Option<Pooling>,
    /// Whether vectors are scaled to a length of 1
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    normalize: Option<bool>,
}

impl Texts {
    /// What is said here goes before what the recipe says.
    fn apply(self, recipe: &mut Recipe) {
        let file = |file: Option<PathBuf>| file.map(|file| TextFile { file, column: self.column.clone() });
        recipe.vocabulary = file(self.vocab_from).or(recipe.vocabulary.take());
        recipe.perplexity = file(self.perplexity).or(recipe.perplexity.take());
        let quantize = &mut recipe.quantize;
        quantize.calibration = file(self.calibration).or(quantize.calibration.take());
        quantize.scheme = self.quantize.or(quantize.scheme);
        quantize.range = self.range.or(quantize.range);
        quantize.smooth = self.smooth.or(quantize.smooth);
        quantize.budget = self.budget.or(quantize.budget);
        if !self.keep.is_empty() {
            quantize.keep = self.keep;
        }
        let text = &mut recipe.text;
        text.max_tokens = self.max_tokens.or(text.max_tokens);
        text.pooling = self.pooling.or(text.pooling);
        text.normalize = self.normalize.or(text.normalize);
    }
}

#[derive(Debug, Args)]
struct Inspect {
    /// A package (.ember)
    file: PathBuf,
    /// Load it as a function does, and show where the time goes
    #[arg(long)]
    load: bool,
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
    /// The SQS queue to read beside that, as the function consume does; EMBER_RESULTS or EMBER_REPLY_QUEUE_URL tells where
    /// results go
    #[arg(long, env = "EMBER_QUEUE_URL", value_name = "URL")]
    queue: Option<String>,
}

fn parse_task(text: &str) -> Result<Task, String> {
    serde_json::from_value(text.into()).map_err(|_| "expected predict, embed, classify, rerank or generate".to_owned())
}

fn parse_pooling(text: &str) -> Result<Pooling, String> {
    serde_json::from_value(text.into()).map_err(|_| "expected cls, mean, max, mean_sqrt or last_token".to_owned())
}

fn main() -> ExitCode {
    cold_start::entered_main();
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
        Action::Pack(args) => pack(*args),
        Action::Inspect(args) if args.load => print(&inspect::load(&args.file)?, args.json),
        Action::Inspect(args) => print(&inspect::inspect(&args.file)?, args.json),
        Action::Push(args) => push(args),
        Action::Serve(args) => runtime()?.block_on(serve::serve(serve::Request {
            sources: args.sources,
            host: args.host,
            port: args.port,
            queue: args.queue,
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
    if !args.prune.is_empty() {
        recipe.prune = args.prune;
    }
    args.texts.apply(&mut recipe);
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
    let settings =
        S3Settings { endpoint: args.s3.s3_endpoint, path_style: args.s3.s3_path_style, ..S3Settings::default() };
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
