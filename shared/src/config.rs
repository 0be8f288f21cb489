//! Configuration: every environment variable there is, read once and checked at start.

mod consume;
mod runtime;
#[cfg(test)]
mod tests;
mod trust;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use emberlite_kernels::Isa;
pub use runtime::Runtime;

use crate::engine::CacheFormat;
use crate::model::ModelName;
use crate::store::{Location, Patience, S3Settings};
use crate::task::generate;
use crate::trust::Requirements;

/// What the environment says.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where packages come from.
    pub store: Location,
    /// The model that answers where none is named.
    pub default_model: Option<ModelName>,
    /// The models that are served; `None` for all of the store.
    pub models: Option<Vec<ModelName>>,
    /// The folder that downloaded packages are kept in.
    pub cache_folder: Option<PathBuf>,
    /// Whether the model that answers where none is named is loaded before it is asked for.
    pub preload: bool,
    /// How long a pointer is taken to be what it was; `None` for ever.
    pub refresh: Option<Duration>,
    /// The largest request body.
    pub max_body_bytes: usize,
    /// How many requests are answered or wait at once.
    pub max_requests: usize,
    /// How many requests compute at once, and how many threads one of them may use.
    pub threads: usize,
    /// The instruction set of the kernels.
    pub isa: Isa,
    /// How models that write are run.
    pub generate: generate::Settings,
    /// What the function that consumes reads, and where results go.
    pub consume: crate::consume::Settings,
    /// What is wanted of packages, and the keys to read them with.
    pub trust: Requirements,
    /// How buckets are reached.
    pub s3: S3Settings,
    /// How Lambda takes the answers of a function that writes.
    pub invoke_mode: InvokeMode,
    /// What is logged.
    pub log: Log,
    /// The address of the plain HTTP server.
    pub host: String,
    /// The port of the plain HTTP server.
    pub port: u16,
    /// What has started this process.
    pub runtime: Runtime,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct Log {
    /// A level, or directives as `tracing-subscriber` reads them.
    pub filter: String,
    /// The form of a record.
    pub format: LogFormat,
}

/// The form of a log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LogFormat {
    Json,
    Text,
}

/// How Lambda takes answers: the mode of the function's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvokeMode {
    /// In one piece.
    Buffered,
    /// As they come.
    ResponseStream,
}

/// A variable that is missing or wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ConfigError {
    #[error("{name} is not set: expected {expected}")]
    Missing { name: &'static str, expected: &'static str },
    #[error("{name}={value:?} is wrong: expected {expected}")]
    Wrong { name: &'static str, value: String, expected: &'static str },
    #[error("{name} is wrong, and not told here since it may be a secret: expected {expected}; {reason}")]
    Secret { name: &'static str, expected: &'static str, reason: String },
    #[error("{name}=1 needs {needed} to be set")]
    Needs { name: &'static str, needed: &'static str },
}

/// One variable, for `--help` and for errors.
struct Variable {
    name: &'static str,
    expected: &'static str,
    default: &'static str,
    meaning: &'static str,
}

const fn variable(
    name: &'static str,
    expected: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Variable {
    Variable { name, expected, default, meaning }
}

const STORE: Variable =
    variable("EMBER_STORE", "a folder's path or s3://bucket/prefix", "", "where packages come from (required)");
const MODEL: Variable =
    variable("EMBER_MODEL", "a model's name", "the only model of the store", "answers where no model is named");
const MODELS: Variable =
    variable("EMBER_MODELS", "names of models, separated by commas", "all of the store", "the models that are served");
const PRELOAD: Variable = variable(
    "EMBER_PRELOAD",
    "1 or 0",
    "1",
    "whether the model that answers where none is named is loaded at start; 0 loads it with its first request",
);
const CACHE_DIR: Variable = variable(
    "EMBER_CACHE_DIR",
    "a folder's path, or none",
    "/tmp on Lambda, none elsewhere",
    "where packages from S3 are kept for the next start",
);
const STORE_TIMEOUT: Variable = variable(
    "EMBER_STORE_TIMEOUT_SECONDS",
    "a number of seconds above 0 and up to 3600",
    "3",
    "how long S3 may send nothing before it is asked again; after a third of it a second request is made",
);
const PART: Variable = variable(
    "EMBER_DOWNLOAD_PART_BYTES",
    "a power of two from 1024 to 1073741824",
    "4194304 to 16777216, by the package's size",
    "the size of the parts of a package that are read from S3 at once",
);
const REFRESH: Variable = variable(
    "EMBER_REFRESH_SECONDS",
    "a number of seconds, 0 for never",
    "60",
    "how often a model's pointer is looked at again",
);
const MAX_BODY: Variable =
    variable("EMBER_MAX_BODY_BYTES", "a number of bytes above 0", "6291456", "the largest request body");
const MAX_REQUESTS: Variable = variable(
    "EMBER_MAX_REQUESTS",
    "a number above 0",
    "256",
    "how many requests are answered or wait at once; others are refused with 503 or 429 and Retry-After",
);
const S3_ENDPOINT: Variable =
    variable("EMBER_S3_ENDPOINT", "an http:// or https:// URL", "AWS", "the S3 endpoint: MinIO, GCS, OSS, …");
const PATH_STYLE: Variable = variable(
    "EMBER_S3_PATH_STYLE",
    "true or false",
    "true with EMBER_S3_ENDPOINT",
    "whether the bucket is in the path of S3 requests",
);
const THREADS: Variable =
    variable("EMBER_THREADS", "a number above 0", "the machine's cores", "how many threads compute");
const ISA: Variable = variable(
    "EMBER_ISA",
    "portable, avx2, avxvnni or avx512, and one that this CPU has",
    "the best this CPU has",
    "the instruction set of the kernels",
);
const CONTEXT: Variable = variable(
    "EMBER_CONTEXT_TOKENS",
    "a number of tokens above 0",
    "the model's own limit",
    "the longest prompt and text of a model that writes, together",
);
const CACHE: Variable = variable(
    "EMBER_CACHE_BYTES",
    "a number of bytes above 0",
    "268435456",
    "the memory for keys and values, of running requests and for those to come",
);
const CACHE_FORMAT: Variable =
    variable("EMBER_CACHE_FORMAT", "f32, f16 or int8", "f16", "how keys and values are kept in memory");
const SPECULATE: Variable = variable(
    "EMBER_SPECULATE",
    "true or false",
    "true",
    "whether tokens are drafted from what came before; the text is the same",
);
const INVOKE_MODE: Variable = variable(
    "EMBER_INVOKE_MODE",
    "buffered or response_stream",
    "response_stream",
    "how Lambda takes what generate answers: the invoke mode of its URL",
);
const LOG: Variable = variable("EMBER_LOG", "error, warn, info, debug or trace", "info", "what is logged");
const LOG_FORMAT: Variable = variable("EMBER_LOG_FORMAT", "json or text", "json", "the form of a log record");
const HOST: Variable = variable("EMBER_HOST", "an address", "0.0.0.0", "where the plain HTTP server listens");

const ALL: [Variable; 40] = [
    STORE,
    MODEL,
    MODELS,
    PRELOAD,
    CACHE_DIR,
    trust::TRUSTED,
    trust::REQUIRE_SIGNATURE,
    trust::REQUIRE_ENCRYPTION,
    trust::KEY,
    trust::KMS_ENDPOINT,
    REFRESH,
    MAX_BODY,
    MAX_REQUESTS,
    S3_ENDPOINT,
    PATH_STYLE,
    STORE_TIMEOUT,
    PART,
    THREADS,
    ISA,
    CONTEXT,
    CACHE,
    CACHE_FORMAT,
    SPECULATE,
    INVOKE_MODE,
    consume::QUEUE,
    consume::RESULTS,
    consume::REPLIES,
    consume::DEAD_LETTERS,
    consume::INPUTS,
    consume::MAX_OBJECT,
    consume::ENDPOINT,
    consume::VISIBILITY,
    consume::BATCHES,
    LOG,
    LOG_FORMAT,
    HOST,
    runtime::PORT,
    runtime::FUNCTION_COMPUTE_PORT,
    runtime::FUNCTION_COMPUTE_LISTEN_PORT,
    runtime::AZURE_PORT,
];

/// Set by Lambda: the function's name, and its memory in MiB.
const LAMBDA_NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";
const LAMBDA_MEMORY: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";

impl Config {
    /// Reads the configuration through `lookup`, which answers a variable's value: usually the environment.
    ///
    /// # Errors
    /// The first variable that is missing or wrong, by name.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let reader = Reader(lookup);
        let (runtime, port) = runtime::read(&reader)?;
        let settings = S3Settings {
            endpoint: reader.endpoint(&S3_ENDPOINT)?,
            path_style: reader.parsed(&PATH_STYLE)?,
            patience: reader.patience()?,
        };
        let s3 = settings.clone();
        let Some(store) = reader.text(&STORE) else {
            return Err(ConfigError::Missing { name: STORE.name, expected: STORE.expected });
        };
        Ok(Self {
            store: Location::parse(&store, settings).map_err(|_| wrong(&STORE, &store))?,
            default_model: reader.parsed(&MODEL)?,
            models: reader.names(&MODELS)?,
            cache_folder: reader.cache_folder(),
            preload: reader.one_of(&PRELOAD, &[("1", true), ("0", false), ("true", true), ("false", false)])?,
            refresh: match reader.parsed(&REFRESH)?.unwrap_or(60) {
                0 => None,
                seconds => Some(Duration::from_secs(seconds)),
            },
            max_body_bytes: reader.positive(&MAX_BODY)?.unwrap_or(6 * 1024 * 1024),
            max_requests: reader.positive(&MAX_REQUESTS)?.unwrap_or(256),
            threads: reader.positive(&THREADS)?.unwrap_or_else(cores),
            isa: reader.isa()?,
            generate: reader.generate()?,
            consume: consume::read(&reader)?,
            trust: trust::read(&reader)?,
            s3,
            invoke_mode: reader.one_of(
                &INVOKE_MODE,
                &[("response_stream", InvokeMode::ResponseStream), ("buffered", InvokeMode::Buffered)],
            )?,
            log: reader.log()?,
            host: reader.text(&HOST).unwrap_or_else(|| "0.0.0.0".to_owned()),
            port,
            runtime,
        })
    }

    /// Reads the configuration from the process's environment.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// How many threads compute, and with which instruction set: what the command needs beside a store.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn compute(lookup: impl Fn(&str) -> Option<String>) -> Result<(usize, Isa), ConfigError> {
        let reader = Reader(lookup);
        Ok((reader.positive(&THREADS)?.unwrap_or_else(cores), reader.isa()?))
    }

    /// What is wanted of packages, and the keys to read them with: what the command needs beside a package.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn trust(lookup: impl Fn(&str) -> Option<String>) -> Result<Requirements, ConfigError> {
        trust::read(&Reader(lookup))
    }

    /// Every variable with its meaning and default, as lines for `--help`.
    pub fn help() -> String {
        let mut text = String::from("Environment variables:\n");
        for Variable { name, expected, default, meaning } in &ALL {
            let default = if default.is_empty() { String::new() } else { format!("; default: {default}") };
            let _ = writeln!(text, "  {name:<27} {meaning}\n{:30}{expected}{default}", "");
        }
        text
    }
}

/// The cores this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn wrong(variable: &Variable, value: &str) -> ConfigError {
    ConfigError::Wrong { name: variable.name, value: value.to_owned(), expected: variable.expected }
}

/// Reads variables; an empty one counts as absent, as templates leave those they have no value for.
struct Reader<F>(F);

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    fn text(&self, variable: &Variable) -> Option<String> {
        (self.0)(variable.name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn parsed<T: FromStr>(&self, variable: &Variable) -> Result<Option<T>, ConfigError> {
        self.text(variable).map(|text| text.parse().map_err(|_| wrong(variable, &text))).transpose()
    }

    fn positive(&self, variable: &Variable) -> Result<Option<usize>, ConfigError> {
        match self.parsed(variable)? {
            Some(0) => Err(wrong(variable, "0")),
            number => Ok(number),
        }
    }

    /// One of several words; the first is the default.
    fn one_of<T: Copy>(&self, variable: &Variable, words: &[(&str, T)]) -> Result<T, ConfigError> {
        let text = self.text(variable);
        let named = |(word, _): &&(&str, T)| text.as_deref().is_none_or(|text| text == *word);
        let value = words.iter().find(named).map(|(_, value)| *value);
        value.ok_or_else(|| wrong(variable, &text.unwrap_or_default()))
    }

    fn generate(&self) -> Result<generate::Settings, ConfigError> {
        let formats = [("f16", CacheFormat::F16), ("f32", CacheFormat::F32), ("int8", CacheFormat::Int8)];
        Ok(generate::Settings {
            context_tokens: self.positive(&CONTEXT)?,
            cache_bytes: self.positive(&CACHE)?.unwrap_or(256 * 1024 * 1024),
            cache_format: self.one_of(&CACHE_FORMAT, &formats)?,
            speculate: self.parsed(&SPECULATE)?.unwrap_or(true),
        })
    }

    fn patience(&self) -> Result<Patience, ConfigError> {
        let silence = match self.parsed::<f64>(&STORE_TIMEOUT)? {
            Some(seconds) if seconds > 0.0 && seconds <= 3600.0 => Duration::from_secs_f64(seconds),
            Some(seconds) => return Err(wrong(&STORE_TIMEOUT, &seconds.to_string())),
            None => Patience::default().silence,
        };
        let memory = (self.0)(LAMBDA_MEMORY).and_then(|mebibytes| mebibytes.parse::<u64>().ok());
        Ok(Patience {
            silence,
            part: self.parsed(&PART)?,
            memory_bytes: memory.map(|memory| memory.saturating_mul(1 << 20)),
        })
    }

    fn cache_folder(&self) -> Option<PathBuf> {
        match self.text(&CACHE_DIR) {
            Some(none) if none == "none" => None,
            Some(folder) => Some(folder.into()),
            None => (self.0)(LAMBDA_NAME).map(|_| "/tmp".into()),
        }
    }

    fn isa(&self) -> Result<Isa, ConfigError> {
        match self.parsed::<Isa>(&ISA)? {
            Some(isa) if !isa.is_available() => Err(wrong(&ISA, isa.name())),
            isa => Ok(isa.unwrap_or_else(Isa::best)),
        }
    }

    fn names(&self, variable: &Variable) -> Result<Option<Vec<ModelName>>, ConfigError> {
        let Some(text) = self.text(variable) else { return Ok(None) };
        let names = text.split(',').map(|name| name.trim().parse());
        names.collect::<Result<_, _>>().map(Some).map_err(|_| wrong(variable, &text))
    }

    fn endpoint(&self, variable: &Variable) -> Result<Option<String>, ConfigError> {
        match self.text(variable) {
            Some(url) if !url.starts_with("http://") && !url.starts_with("https://") => Err(wrong(variable, &url)),
            url => Ok(url),
        }
    }

    fn log(&self) -> Result<Log, ConfigError> {
        let filter = self.text(&LOG).unwrap_or_else(|| "info".to_owned());
        if filter.parse::<tracing_subscriber::EnvFilter>().is_err() {
            return Err(wrong(&LOG, &filter));
        }
        let format = match self.text(&LOG_FORMAT).as_deref() {
            None | Some("json") => LogFormat::Json,
            Some("text") => LogFormat::Text,
            Some(other) => return Err(wrong(&LOG_FORMAT, other)),
        };
        Ok(Log { filter, format })
    }
}
