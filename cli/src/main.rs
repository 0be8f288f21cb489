//! The command `emberlite`.

use std::fs;
use std::io::Write as _;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use emberlite::config::Config;
use emberlite::engine;
use emberlite::model::{ModelName, Task};
use emberlite::ops::Pooling;
use emberlite::store::{Location, S3Settings, Store};
use emberlite::telemetry::cold_start;
use emberlite_cli::data::Columns;
use emberlite_cli::pack::{self, Goal, Report, Request};
use emberlite_cli::prune;
use emberlite_cli::pull::Address;
use emberlite_cli::quantize::Scheme;
use emberlite_cli::recipe::Recipe;
use emberlite_cli::texts::TextFile;
use emberlite_cli::verify::{self, Part, Settings, Target, Thresholds, report};
use emberlite_cli::{bench, inspect, interrupt, jobs, keygen, progress, pull, push, serve, sign, source, trust};
use serde::Serialize;

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
    Pack(Box<Pack>),
    /// Show what is in a package
    Inspect(Inspect),
    /// Make a key to sign packages with, or to encrypt them with
    Keygen(Keygen),
    /// Add a signature to a package
    Sign(sign::Request),
    /// Compare a package with the model it was made from, and refuse it where it lost too much
    Verify(Box<Verify>),
    /// Put a package into a store and make it the one in force
    Push(Push),
    /// Serve models on one port, with a page to try them
    Serve(Serve),
    /// Measure a package's latency, throughput and memory by batch and length
    Bench(Bench),
    /// Download a model's folder from a hub
    Pull(Pull),
    /// Print what a shell needs to complete this command's arguments
    #[command(after_help = COMPLETIONS)]
    Completions(Completions),
}

const COMPLETIONS: &str = "\
For this shell alone:
  bash        source <(emberlite completions bash)
  zsh         source <(emberlite completions zsh)
  fish        emberlite completions fish | source
For all to come:
  bash        emberlite completions bash > ~/.local/share/bash-completion/completions/emberlite
  zsh         emberlite completions zsh > a file _emberlite in a folder of $fpath
  fish        emberlite completions fish > ~/.config/fish/completions/emberlite.fish
  powershell  emberlite completions powershell >> $PROFILE";

#[derive(Debug, Args)]
struct Pack {
    /// A model file (.onnx, .gguf), a recipe (pack.toml), the folder of one, or a Hugging Face folder
    #[arg(value_hint = ValueHint::AnyPath)]
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
    search: Search,
    #[command(flatten)]
    texts: Texts,
    /// A JSON file whose value goes into a request's "input": the package must answer it as the model does (repeatable)
    #[arg(long)]
    input: Vec<PathBuf>,
    /// Import and check the model, and tell what would be packed, and how; nothing is written
    #[arg(long, conflicts_with = "report")]
    dry_run: bool,
    /// How many threads the work uses [default: EMBER_THREADS for models, the machine's cores for the rest]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    seal: trust::Seal,
}

/// What may be lost, what that is measured on, and what is to be won
#[derive(Debug, Args)]
#[command(next_help_heading = "Search and proof")]
struct Search {
    /// Try ways to make the model smaller, and pack it in the best that loses no more than this: 1% of the accuracy, of the
    /// labels where there are none given, of the cosine, of the perplexity
    #[arg(long, value_name = "PART")]
    max_loss: Option<Part>,
    /// What is to become small
    #[arg(long, requires = "max_loss", default_value = "latency")]
    target: Target,
    /// Examples that the loss is measured on, with or without labels: a .csv, .tsv or .jsonl file, a folder of images, or a
    /// text, a line each [default: built-in sentences or random inputs]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The column or field of the data that holds what the model should answer [default: label, category, intent, class or
    /// target; score for pairs]
    #[arg(long, value_name = "NAME", requires = "data")]
    label: Option<String>,
    /// Write a report as one HTML file: what was lost, what was won, the worst cases
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl Search {
    /// What is said here goes before what the recipe says.
    fn apply(&self, recipe: &mut Recipe, column: Option<&String>) {
        let settings = &mut recipe.verify;
        if self.data.is_some() {
            settings.column = column.cloned().or(settings.column.take());
        }
        settings.data = self.data.clone().or(settings.data.take());
        settings.label = self.label.clone().or(settings.label.take());
    }

    fn goal(&self) -> Option<Goal> {
        self.max_loss.map(|max_loss| Goal { max_loss: max_loss.0, target: self.target })
    }
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
        let file = |file: Option<PathBuf>| {
            file.map(|file| TextFile { file, column: self.column.clone(), every_second: false })
        };
        recipe.vocabulary = file(self.vocab_from).or(recipe.vocabulary.take());
        recipe.perplexity = file(self.perplexity).or(recipe.perplexity.take());
        let quantize = &mut recipe.quantize;
        quantize.calibration = file(self.calibration).or(quantize.calibration.take());
        quantize.scheme = self.quantize.or(quantize.scheme);
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
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Load it as a function does, and show where the time goes
    #[arg(long)]
    load: bool,
    /// Print the recipe that it was packed by: a pack.toml that gives it again
    #[arg(long, conflicts_with_all = ["load", "json"])]
    recipe: bool,
    /// A key to trust: a .pub file of `emberlite keygen`, NAME=KEY, or a public key (repeatable) [default:
    /// EMBER_TRUSTED_KEYS]
    #[arg(long, value_name = "KEY")]
    trust: Vec<String>,
    /// What decrypts the package: a key's file, env:NAME or kms:KEY [default: EMBER_PACKAGE_KEY]
    #[arg(long)]
    key: Option<String>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Keygen {
    #[command(flatten)]
    request: keygen::Request,
    /// Print what was made as JSON, without what is secret
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Verify {
    /// What the package was made from: a model file, a recipe, the folder of one, or a Hugging Face folder
    source: PathBuf,
    /// The package (.ember)
    package: PathBuf,
    /// The recipe for a model file that has none beside it
    #[arg(long)]
    recipe: Option<PathBuf>,
    /// The examples: a .csv, .tsv or .jsonl file, a folder of images, or a plain text, a line each (for a language model as a
    /// whole) [default: built-in sentences or random inputs]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The column or field that holds the text [default: text, input, or the only one]
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// The column or field that holds what the model should answer [default: label, category, intent, class or target;
    /// score for pairs]
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
    /// The columns of two texts that are compared or judged together [default: sentence1 and sentence2, query and text, …]
    #[arg(long, num_args = 2, value_names = ["FIRST", "SECOND"])]
    pair: Option<Vec<String>>,
    /// The most examples to ask, evenly from first to last [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// How often each work is timed at most; 0 for not at all
    #[arg(long, value_name = "N", default_value_t = 30)]
    rounds: usize,
    /// Write a report as one HTML file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    thresholds: Thresholds,
}

#[derive(Debug, Args)]
struct Push {
    /// A package (.ember), or a model file or recipe folder to pack on the way
    #[arg(value_hint = ValueHint::AnyPath)]
    source: PathBuf,
    /// A folder's path or s3://bucket/prefix
    #[arg(long, env = "EMBER_STORE", value_hint = ValueHint::DirPath)]
    store: String,
    #[command(flatten)]
    s3: S3,
    /// What looks into an encrypted package before it is pushed: a key's file, env:NAME or kms:KEY [default:
    /// EMBER_PACKAGE_KEY]
    #[arg(long)]
    key: Option<String>,
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
    #[arg(value_hint = ValueHint::AnyPath)]
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

#[derive(Debug, Args)]
struct Bench {
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
    threads: Option<usize>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Takes the files that a model is made of: its settings, its tokenizer, and one set of weights, if there is one in
/// safetensors. What breaks off goes on from there when the same command runs again
#[derive(Debug, Args)]
#[command(
    after_help = "Environment: HF_TOKEN is the token for private and gated repositories, HF_ENDPOINT another hub than \
                        https://huggingface.co, HTTPS_PROXY and NO_PROXY a proxy, SSL_CERT_FILE the certificates to trust."
)]
struct Pull {
    /// A repository: hf://ORG/NAME, or hf://ORG/NAME@REVISION for a branch, a tag or a commit
    #[arg(value_name = "hf://ORG/NAME")]
    source: Address,
    /// The folder it goes to [default: NAME]
    #[arg(short, long, value_hint = ValueHint::DirPath)]
    output: Option<PathBuf>,
    /// The weights to take in the place of the usual ones, by names in which * stands for any text: '*Q4_0.gguf' (repeatable)
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// A file with the token, in the place of HF_TOKEN
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    token_file: Option<PathBuf>,
    /// How many files are downloaded at once
    #[arg(long, value_name = "N", default_value = "4")]
    jobs: NonZero<usize>,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Completions {
    /// The shell
    shell: Shell,
}

fn parse_count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "expected a number above 0".to_owned())
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
        Action::Bench(args) => args.threads.unwrap_or(threads),
        Action::Pack(args) => args.jobs.map_or(threads, usize::from),
        _ => threads,
    };
    engine::prepare(threads, isa);
    match action {
        Action::Pack(args) => pack(*args),
        Action::Inspect(args) => {
            let requirements = trust::requirements(&args.trust, args.key.as_deref())?;
            if args.recipe {
                return write_line(&inspect::recipe(&args.file, &requirements)?);
            }
            if args.load {
                return print(&inspect::load(&args.file, &requirements)?, args.json);
            }
            print(&inspect::inspect(&args.file, &requirements)?, args.json)
        }
        Action::Keygen(args) => print(&keygen::keygen(&args.request)?, args.json),
        Action::Sign(request) => print(&sign::sign(&request)?, request.json),
        Action::Verify(args) => verify(*args),
        Action::Push(args) => push(args),
        Action::Serve(args) => runtime()?.block_on(serve::serve(serve::Request {
            sources: args.sources,
            host: args.host,
            port: args.port,
            queue: args.queue,
        })),
        Action::Bench(args) => measure(args, threads),
        Action::Pull(args) => {
            let Pull { source, output, include, token_file, jobs, json } = args;
            print(&pull::pull(&pull::Request { source, output, include, token_file, jobs })?, json)
        }
        Action::Completions(args) => completions(args.shell),
    }
}

fn pack(args: Pack) -> Result<()> {
    if let Some(jobs) = args.jobs {
        jobs::set(jobs);
    }
    let mut recipe = match &args.recipe {
        Some(file) => {
            source::check_model(&args.source)?;
            Recipe { model: args.source, ..Recipe::read(file)? }
        }
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
    args.seal.check()?;
    args.search.apply(&mut recipe, args.texts.column.as_ref());
    args.texts.apply(&mut recipe);
    let inputs = args.input.iter().map(|file| {
        let text = fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", file.display()))
    });
    if let Some(output) = &args.output {
        source::check_place(output)?;
    }
    let inputs = inputs.collect::<Result<_>>()?;
    let report = args.search.report.is_some();
    let request = Request { recipe, inputs, goal: args.search.goal(), report };
    if args.dry_run {
        return print(&pack::plan(&request, args.output.as_deref())?, args.json);
    }
    let packed = pack::pack(&request)?;
    if let (Some(file), Some(report)) = (&args.search.report, &packed.report) {
        report::write(file, report)?;
    }
    let packed = args.seal.apply(packed.accepted()?)?;
    let output = args.output.unwrap_or_else(|| format!("{}.ember", packed.manifest.name).into());
    pack::save(&packed, &output)?;
    print(&Report::new(&packed, &output), args.json)
}

fn verify(args: Verify) -> Result<()> {
    let (recipe, recipe_text) = match &args.recipe {
        Some(file) => (Recipe { model: args.source, ..Recipe::read(file)? }, Recipe::text(file)),
        None => (Recipe::find(&args.source)?, Recipe::text(&args.source)),
    };
    let said: Settings = recipe.verify.clone();
    let pair = args.pair.and_then(|pair| <[String; 2]>::try_from(pair).ok()).map(|[first, second]| (first, second));
    let columns = said.columns();
    let thresholds = args.thresholds.or(&said.thresholds);
    let report = verify::verify(verify::Request {
        recipe,
        recipe_text,
        package: args.package,
        columns: Columns {
            text: args.column.or(columns.text),
            label: args.label.or(columns.label),
            pair: pair.or(columns.pair),
        },
        data: args.data.or(said.data),
        limit: args.limit,
        rounds: args.rounds,
        thresholds: thresholds.clone(),
    })?;
    if let Some(file) = &args.report {
        report::write(file, &report)?;
    }
    print(&report, args.json)?;
    Ok(thresholds.check(&report.comparison)?)
}

fn push(args: Push) -> Result<()> {
    let settings =
        S3Settings { endpoint: args.s3.s3_endpoint, path_style: args.s3.s3_path_style, ..S3Settings::default() };
    let store = Store::new(Location::parse(&args.store, settings)?);
    let requirements = trust::requirements(&[], args.key.as_deref())?;
    let pushed = runtime()?.block_on(push::push(&args.source, &store, &requirements))?;
    print(&pushed, args.json)
}

fn measure(args: Bench, threads: usize) -> Result<()> {
    let measured = bench::bench(&bench::Request {
        package: args.package,
        batches: args.batch,
        lengths: args.length,
        budget: bench::Budget::of(args.seconds),
        threads,
    })?;
    print(&measured, args.json)
}

fn completions(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Command::command(), "emberlite", &mut script);
    std::io::stdout().write_all(&script).context("can't write to standard output")
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime can't start")
}

fn print(report: &(impl Serialize + std::fmt::Display), json: bool) -> Result<()> {
    let text = if json { serde_json::to_string_pretty(report)? } else { report.to_string() };
    write_line(&text)
}

fn write_line(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context("can't write to standard output")
}
