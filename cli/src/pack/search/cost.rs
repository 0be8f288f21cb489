//! What a package costs on this machine: time, bytes and memory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use emberlite::model::{Model, Task};
use emberlite::tokenizer::{Limit, Overlong, Text};
use serde::Deserialize;

use crate::bench::{self, Budget, Inputs};
use crate::data::{Data, Input};

/// How often source and package take turns.
const TURNS: usize = 7;
/// How long each turn is.
const TURN: Duration = Duration::from_millis(60);
/// How many tokens a text or context has where the data tell nothing.
const LENGTH: usize = 32;

/// Times packages against their source: both take turns, since a machine's speed changes from minute to minute.
pub(super) struct Clock<'a> {
    reference: &'a Model,
    inputs: Inputs,
    length: usize,
    /// What a run of the reference takes, the first time it was measured.
    reference_ms: Option<f64>,
}

impl<'a> Clock<'a> {
    /// One text of the data's usual length, one row, or one step of decoding.
    pub(super) fn new(reference: &'a Model, data: &Data) -> Result<Self> {
        let length = usual_length(reference, data);
        Ok(Self { reference, inputs: inputs(reference, length)?, length, reference_ms: None })
    }

    /// How long a run of a package takes, as if the machine had been as fast as when the reference was measured first.
    pub(super) fn time(&mut self, package: &Model) -> Result<f64> {
        let budget = Budget { warm_up: Duration::ZERO, time: TURN, least_runs: 2 };
        let theirs = inputs(package, self.length)?;
        let mut turns = Vec::with_capacity(TURNS);
        for _ in 0..TURNS {
            let reference = bench::latency(self.reference, &self.inputs, budget)?.median_ms;
            turns.push((reference, bench::latency(package, &theirs, budget)?.median_ms));
        }
        let ratio = median(turns.iter().map(|(reference, package)| package / reference.max(f64::MIN_POSITIVE)));
        let reference_ms = median(turns.iter().map(|(reference, _)| *reference));
        Ok(ratio * *self.reference_ms.get_or_insert(reference_ms))
    }
}

fn inputs(model: &Model, length: usize) -> Result<Inputs> {
    match model.manifest().task {
        Task::Generate => bench::decoding(model, 1, length),
        _ => bench::inputs(model, 1, length),
    }
}

/// The median number of tokens of the data's texts, within what the model reads.
fn usual_length(model: &Model, data: &Data) -> usize {
    let manifest = model.manifest();
    let text = manifest.text.as_ref().map(|spec| spec.max_tokens);
    let longest = text.or(manifest.generate.as_ref().map(|spec| spec.context_tokens)).unwrap_or(LENGTH);
    let limit = Limit { max_tokens: longest, overlong: Overlong::CutEnd };
    let tokens = |input: &Input| match (model.tokenizer(), input) {
        (Some(tokenizer), Input::Text(text)) if manifest.text.is_some() => {
            tokenizer.encode(&Text::One(text.clone()), "", limit).ok().map(|tokens| tokens.ids.len())
        }
        _ => None,
    };
    let mut lengths: Vec<usize> = data.examples.iter().filter_map(|example| tokens(&example.input)).collect();
    lengths.sort_unstable();
    lengths.get(lengths.len() / 2).copied().unwrap_or(LENGTH).clamp(2.min(longest), longest)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Measures memory in a process that does nothing but load a package and run it: this program as `emberlite bench`.
pub(super) struct Scale {
    program: PathBuf,
    folder: tempfile::TempDir,
}

#[derive(Deserialize)]
struct Weighed {
    memory: Option<Memories>,
}

#[derive(Deserialize)]
struct Memories {
    peak_bytes: u64,
}

impl Scale {
    pub(super) fn new() -> Result<Self> {
        let program = std::env::current_exe().context("this program can't be found again")?;
        Ok(Self { program, folder: tempfile::tempdir()? })
    }

    /// The most memory that was resident; what the package has where the system does not tell.
    pub(super) fn weigh(&self, package: &[u8], clock: &Clock<'_>) -> Result<u64> {
        let file = self.folder.path().join("candidate.ember");
        fs::write(&file, package).context("the candidate can't be written to the temporary folder")?;
        let mut bench = Command::new(&self.program);
        bench.arg("bench").arg(&file).args(["--json", "--seconds", "0.01", "--batch", "1"]);
        if clock.reference.manifest().task != Task::Predict {
            bench.args(["--length", &clock.length.to_string()]);
        }
        let output = bench.output().context("the candidate can't be measured in a process of its own")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "measuring the candidate's memory failed: {}", said.trim());
        let weighed: Weighed = serde_json::from_slice(&output.stdout)?;
        Ok(weighed.memory.map_or(package.len() as u64, |memory| memory.peak_bytes))
    }
}
