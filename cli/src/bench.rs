//! `emberlite bench`: latency, throughput and memory of a package, by batch and length.

mod inputs;
mod latency;
mod memory;
mod report;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use emberlite::engine::Isa;
use emberlite::model::{Digest, Manifest, Model, ModelName, Task};
use serde::Serialize;

use crate::progress::Progress;
use crate::source;
pub use inputs::{Inputs, decoding, inputs};
pub use latency::{Budget, Latency, latency, measured};
pub use memory::Memory;
pub(crate) use report::bytes;

/// Batches and lengths that are measured where nothing else is said: of lengths those that the model reads.
const BATCHES: [usize; 3] = [1, 8, 32];
const LENGTHS: [usize; 3] = [16, 128, 512];

/// What to measure.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The package file.
    pub package: PathBuf,
    /// Rows, texts or sequences of a run; the usual ones where there are none.
    pub batches: Vec<usize>,
    /// Tokens of a text, a prompt or a context; the usual ones where there are none.
    pub lengths: Vec<usize>,
    /// How long each batch and length is measured.
    pub budget: Budget,
    /// How many threads compute.
    pub threads: usize,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Bench {
    file: PathBuf,
    model: ModelName,
    task: Task,
    digest: Digest,
    package_bytes: usize,
    threads: usize,
    isa: String,
    /// From the file to a model that is ready, once.
    load_ms: f64,
    memory: Option<Memories>,
    cells: Vec<Cell>,
}

/// The memory of this process.
#[derive(Clone, Copy, Debug, Serialize)]
struct Memories {
    before_load: Memory,
    loaded: Memory,
    after_runs: Memory,
    /// The most that was resident in any run.
    peak_bytes: u64,
}

/// A line of the table.
#[derive(Clone, Debug, Serialize)]
struct Cell {
    what: What,
    batch: usize,
    /// Of models of texts and language models.
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<usize>,
    #[serde(flatten)]
    latency: Latency,
    /// Rows, or tokens of a language model.
    per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_bytes: Option<u64>,
    /// The runs are far apart.
    wide: bool,
}

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum What {
    /// The whole model, on rows.
    Run,
    /// A language model reads prompts.
    Prefill,
    /// Each sequence of a language model gets one more token.
    Decode,
}

/// Loads a package and runs it over and over.
///
/// # Errors
/// A file that is no intact package, batches and lengths that its model does not take, or a model that fails.
pub fn bench(request: &Request) -> Result<Bench> {
    let file = &request.package;
    let progress = Progress::start(format!("loading {}", file.display()));
    let before_load = Memory::now();
    let start = Instant::now();
    let model = load(file)?;
    let load = start.elapsed();
    let loaded = Memory::now();

    let plan = plan(request, model.manifest())?;
    progress.count(format!("measuring {}", model.manifest().name), plan.len());
    let mut cells = Vec::with_capacity(plan.len());
    for (what, batch, length) in plan {
        cells.push(cell(&model, what, batch, length, request.budget)?);
        progress.advance();
    }
    let peak_bytes = cells.iter().filter_map(|cell| cell.peak_bytes).max();
    let memory = match (before_load, loaded, Memory::now(), peak_bytes) {
        (Some(before_load), Some(loaded), Some(after_runs), Some(peak_bytes)) => {
            Some(Memories { before_load, loaded, after_runs, peak_bytes })
        }
        _ => None,
    };
    Ok(Bench {
        file: file.clone(),
        model: model.manifest().name.clone(),
        task: model.manifest().task,
        digest: *model.digest(),
        package_bytes: model.package_bytes(),
        threads: request.threads,
        isa: Isa::current().to_string(),
        load_ms: load.as_secs_f64() * 1000.0,
        memory,
        cells,
    })
}

fn load(file: &Path) -> Result<Model> {
    let package = source::package(file)?;
    Model::load(&package).with_context(|| file.display().to_string())
}

/// What is measured, the small before the large.
fn plan(request: &Request, manifest: &Manifest) -> Result<Vec<(What, usize, Option<usize>)>> {
    let longest = inputs::longest(manifest);
    let batches = match request.batches.as_slice() {
        [] if inputs::takes_batches(manifest) => BATCHES.to_vec(),
        [] => vec![1],
        given => sorted(given),
    };
    let Some(longest) = longest else {
        ensure!(
            request.lengths.is_empty(),
            "a length is of texts, and {} takes none: leave --length out",
            manifest.name
        );
        return Ok(batches.into_iter().map(|batch| (What::Run, batch, None)).collect());
    };
    let lengths = match request.lengths.as_slice() {
        [] if longest < LENGTHS[0] => vec![longest],
        [] => LENGTHS.into_iter().filter(|length| *length <= longest).collect(),
        given => sorted(given),
    };
    let each = |what: What, batches: &[usize]| -> Vec<_> {
        batches.iter().flat_map(|batch| lengths.iter().map(move |length| (what, *batch, Some(*length)))).collect()
    };
    if manifest.task == Task::Generate {
        return Ok([each(What::Prefill, &[1]), each(What::Decode, &batches)].concat());
    }
    Ok(each(What::Run, &batches))
}

fn sorted(numbers: &[usize]) -> Vec<usize> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn cell(model: &Model, what: What, batch: usize, length: Option<usize>, budget: Budget) -> Result<Cell> {
    let given = match what {
        What::Decode => decoding(model, batch, length.unwrap_or(1))?,
        What::Run | What::Prefill => inputs(model, batch, length.unwrap_or(0))?,
    };
    memory::forget_peak();
    let latency = latency(model, &given, budget).with_context(|| {
        format!("the model fails on a batch of {batch}, made of random numbers and built-in sentences")
    })?;
    let units = if what == What::Prefill { batch * length.unwrap_or(1) } else { batch };
    Ok(Cell {
        what,
        batch,
        length,
        latency,
        per_second: units as f64 * latency.per_second(),
        peak_bytes: Memory::now().map(|memory| memory.peak_bytes),
        wide: latency.is_wide(),
    })
}

/// How long each batch and length is measured, from a number of seconds.
///
/// # Errors
/// A number that is no time, in words.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.01..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "expected a number of seconds from 0.01 to 3600".to_owned())
}

#[cfg(test)]
mod tests;
