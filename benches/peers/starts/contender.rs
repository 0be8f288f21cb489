//! One start of each contender.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::place::{Place, Places};
use super::waterfall::Step;
use crate::http::{Connection, Request};
use crate::process::{Process, clean, free_port};
use crate::s3::BUCKET;

/// What is embedded.
const TEXT: &str = "How do I locate my card?";
/// The tokens of a prompt.
const PROMPT: u64 = 16;
/// How many prompts tell what a prefill takes.
const PREFILLS: u64 = 5;

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    /// The folder of Emberlite's functions.
    pub(crate) functions: PathBuf,
    pub(crate) python: PathBuf,
    /// The peer's program: embeds one text, prints its vector.
    pub(crate) embed: PathBuf,
    /// The folder store with the models.
    pub(crate) store: PathBuf,
}

/// A start that was made.
#[derive(Debug)]
pub(crate) struct Start {
    answered: Duration,
    /// What of that the model computed.
    prefill: Duration,
    vector: Vec<f64>,
    pub(crate) peak_bytes: Option<f64>,
    /// Where the time went, as the function tells.
    pub(crate) steps: Vec<Step>,
}

impl Start {
    /// From starting the process to its answer.
    pub(crate) fn milliseconds(&self) -> f64 {
        self.answered.saturating_sub(self.prefill).as_secs_f64() * 1000.0
    }

    /// How near the vectors of two answers are.
    pub(crate) fn cosine(&self, other: &Self) -> f64 {
        let dot = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f64>();
        let (one, other) = (self.vector.as_slice(), other.vector.as_slice());
        dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
    }
}

impl Programs {
    /// Starts a function and has it answer.
    pub(crate) fn start(&self, function: &str, model: &str, place: &Place, places: &Places) -> Result<Start> {
        let program = self.functions.join(function);
        let hint = "build it with `cargo build --release --workspace`, or name its folder with --functions";
        ensure!(program.is_file(), "{} is not there: {hint}", program.display());
        let port = free_port()?;
        let mut command = clean(&program);
        command.envs([("EMBER_MODEL", model), ("EMBER_HOST", "127.0.0.1"), ("PORT", &port.to_string())]);
        match places.endpoint(place) {
            None => command.env("EMBER_STORE", &self.store),
            Some(endpoint) => command
                .env("EMBER_STORE", format!("s3://{BUCKET}"))
                .env("EMBER_S3_ENDPOINT", endpoint)
                .env("AWS_CA_BUNDLE", places.certificate()),
        };
        let mut process = Process::start(&mut command)?;
        let mut connection = process.connect(port)?;
        let answer: Value = serde_json::from_slice(connection.exchange(&request(function, 0))?)?;
        let answered = process.begun.elapsed();
        let told: Value = serde_json::from_slice(connection.exchange(&Request::get(&format!("/models/{model}")))?)?;
        let peak_bytes = Some(process.memory()?.peak);
        let prefill = if function == "generate" { prefill(&mut connection)? } else { Duration::ZERO };
        let steps = told["cold_start"]["steps"].as_array().into_iter().flatten().filter_map(Step::read).collect();
        Ok(Start { answered, prefill, vector: floats(&answer["data"][0]["embedding"]), peak_bytes, steps })
    }

    /// Starts the peer, which reads its files, embeds, prints, and ends.
    pub(crate) fn start_peer(&self, model: &str, place: &Place, places: &Places) -> Result<Start> {
        let mut command = clean(&self.python);
        command.arg(&self.embed).arg(TEXT);
        let mut root = self.store.display().to_string();
        if let Some(endpoint) = places.endpoint(place) {
            command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_CA_BUNDLE", places.certificate());
            root = format!("s3://{BUCKET}");
        }
        for file in ["model.onnx", "tokenizer.json"] {
            command.arg(format!("{root}/models/{model}/{file}"));
        }
        let mut process = Process::start_heard(&mut command)?;
        let line = process.line()?;
        let answered = process.begun.elapsed();
        let told: Value = serde_json::from_str(&line).context("the peer printed no JSON")?;
        let (vector, peak_bytes) = (floats(&told["vector"]), told["peak_bytes"].as_f64());
        Ok(Start { answered, prefill: Duration::ZERO, vector, peak_bytes, steps: Vec::new() })
    }

    /// The size of a model's package.
    pub(crate) fn package_bytes(&self, model: &str) -> Result<u64> {
        let folder = self.store.join("models").join(model);
        let pointer =
            fs::read(folder.join("current.json")).with_context(|| format!("{} has no model", folder.display()))?;
        let pointer: Value = serde_json::from_slice(&pointer)?;
        let digest = pointer["digest"].as_str().context("the pointer names no package")?;
        Ok(fs::metadata(folder.join(format!("{digest}.ember")))?.len())
    }

    /// What the peer is made of.
    pub(crate) fn versions(&self) -> Result<String> {
        let script = "from importlib.metadata import version\n\
            print(', '.join(f'{name} {version(name)}' for name in ('onnxruntime', 'tokenizers', 'boto3', 'numpy')))";
        let output = Command::new(&self.python).args(["-c", script]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

/// What the prefill of such a prompt takes in a warm process.
fn prefill(connection: &mut Connection) -> Result<Duration> {
    let mut took = Vec::new();
    for number in 1..=PREFILLS {
        let request = request("generate", number);
        let asked = std::time::Instant::now();
        connection.exchange(&request)?;
        took.push(asked.elapsed());
    }
    took.sort();
    Ok(took[took.len() / 2])
}

/// The request to a function; another prompt for each number.
fn request(function: &str, number: u64) -> Request {
    match function {
        "embed" => Request::post("/v1/embeddings", &json!({ "input": TEXT }).to_string()),
        "generate" => {
            let prompt: Vec<_> = (0..PROMPT).map(|token| 300 + 1009 * (token + PROMPT * number) % 48_000).collect();
            let body = json!({ "prompt": prompt, "max_tokens": 1, "temperature": 0 });
            Request::post("/v1/completions", &body.to_string())
        }
        _ => {
            let row: Vec<_> = (0..30).map(|value| f64::from(value) / 10.0).collect();
            Request::post("/predict", &json!({ "input": row }).to_string())
        }
    }
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}
