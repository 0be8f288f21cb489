//! `emberlite inspect --load`: where the time goes between a package's file and a model that is ready.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use emberlite::model::{Digest, Hashed, Model, PackageBytes};
use emberlite::telemetry::cold_start::{Step, Timeline};
use emberlite::trust::{Gate, Requirements};
use serde::Serialize;

use crate::{source, trust};

/// How often the package is loaded after the first time.
const AGAIN: usize = 10;

/// What each step of a load takes, in milliseconds. The tokenizer is built while the graph is read and planned.
#[derive(Debug, Serialize)]
pub struct Load {
    package_bytes: usize,
    steps: Vec<LoadStep>,
    /// The first load of this process, and the median of those after it.
    first_ms: f64,
    again_ms: f64,
}

#[derive(Debug, Serialize)]
struct LoadStep {
    step: Step,
    first_ms: f64,
    again_ms: f64,
}

/// Loads a package file as a function with these requirements does, several times.
///
/// # Errors
/// A file that is no intact package, that is refused, or that makes no model.
pub fn load(file: &Path, requirements: &Requirements) -> Result<Load> {
    let gate = Gate::new(requirements.clone());
    let bytes = source::bytes_of_package(file)?;
    let digest = Digest::of(&bytes);
    let loads: Vec<_> = (0..=AGAIN).map(|_| once(file, &digest, &gate)).collect::<Result<_>>()?;
    let (first, again) = loads.split_first().context("no load")?;
    let step = |step: Step| {
        let first_ms = milliseconds(first.0.took(step)?);
        let again_ms = median(again.iter().filter_map(|(timeline, _)| timeline.took(step)));
        Some(LoadStep { step, first_ms, again_ms })
    };
    Ok(Load {
        package_bytes: bytes.len(),
        steps: Step::ALL.into_iter().filter_map(step).collect(),
        first_ms: milliseconds(first.1),
        again_ms: median(again.iter().map(|(_, took)| *took)),
    })
}

fn once(file: &Path, digest: &Digest, gate: &Gate) -> Result<(Arc<Timeline>, Duration)> {
    let timeline = Arc::<Timeline>::default();
    let start = Instant::now();
    let bytes = timeline.measure(Step::FirstByte, || PackageBytes::map(file))?;
    let hashed = timeline.measure(Step::Digest, || Hashed::of(bytes));
    let began = Instant::now();
    let unlocked = trust::wait(async { Ok(gate.unlock(&hashed, digest).await?) });
    let unlocked = unlocked.with_context(|| file.display().to_string())?;
    if unlocked.is_some() {
        timeline.end(Step::Decrypt, began);
    }
    let opened = gate.open(hashed, digest, unlocked, &timeline).with_context(|| file.display().to_string())?;
    Model::load_in(&opened.package, Arc::clone(&timeline)).with_context(|| file.display().to_string())?;
    Ok((timeline, start.elapsed()))
}

fn median(durations: impl Iterator<Item = Duration>) -> f64 {
    let mut durations: Vec<_> = durations.collect();
    durations.sort();
    durations.get(durations.len() / 2).map_or(0.0, |middle| milliseconds(*middle))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Load of {} bytes, in ms     first   again (median of {AGAIN})", self.package_bytes)?;
        for LoadStep { step, first_ms, again_ms } in &self.steps {
            writeln!(f, "  {:<22} {first_ms:>10.3} {again_ms:>10.3}", step.name())?;
        }
        write!(f, "  {:<22} {:>10.3} {:>10.3}", "in all", self.first_ms, self.again_ms)
    }
}
