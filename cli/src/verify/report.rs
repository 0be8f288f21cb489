//! The whole account of a comparison: as JSON, as a few lines, and as one HTML file without anything from elsewhere.

mod figures;
mod page;
mod plot;
mod units;

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use emberlite::model::{Package, Pruning, Quantization, Task};
use emberlite::store::write_whole;
use serde::Serialize;

use super::comparison::Comparison;
use super::frontier::Frontier;
use super::latency::Timing;
use super::loss::Loss;
use super::thresholds::{Miss, Thresholds};
use crate::inspect::Parts;
use figures::Figure;
use units::{bytes, times};

/// How many of the worst examples are printed.
const PRINTED_CASES: usize = 5;

/// The whole account of a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The model's name.
    pub name: String,
    /// What it is for.
    pub task: Task,
    /// What it does, in one sentence.
    pub description: String,
    /// The version of this tool.
    pub tool: String,
    /// What came out.
    pub comparison: Comparison,
    /// The one number that stands for it.
    pub loss: Loss,
    /// What may be lost.
    pub thresholds: Thresholds,
    /// Which of that is missed.
    pub missed: Vec<Miss>,
    /// The source, as a package in single precision.
    pub source: Side,
    /// The package.
    pub package: Side,
    /// How long both take.
    pub latency: Vec<Timing>,
    /// What was taken out of the package's model, step by step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pruning: Vec<Pruning>,
    /// How the package's weights were made smaller, and what each layer loses by that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Quantization>,
    /// What a search found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frontier: Option<Frontier>,
    /// The recipe as TOML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
}

/// One of the two that are compared.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// The file it is of.
    pub file: String,
    /// The format of that file's weights.
    pub format: String,
    /// The program that wrote it, where it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub producer: Option<String>,
    /// The digest of that file; of several files' digests, one after the other.
    pub file_digest: String,
    /// The size of that file, or of all in that folder, where it is at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_bytes: Option<u64>,
    /// The digest of the package.
    pub package_digest: String,
    /// The size of the package.
    pub package_bytes: usize,
    /// What the package's bytes are spent on.
    pub parts: Vec<PartBytes>,
}

/// A part of a package, with its size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartBytes {
    /// What it is.
    pub name: &'static str,
    /// How large it is.
    pub bytes: usize,
}

impl Side {
    fn of(package: &Package) -> Result<Self> {
        let source = &package.manifest().source;
        Ok(Self {
            file: source.file.clone(),
            format: source.format.clone(),
            producer: source.producer.clone(),
            file_digest: source.digest.to_string(),
            file_bytes: None,
            package_digest: package.digest().to_string(),
            package_bytes: package.size_bytes(),
            parts: Parts::of(package)?.named().map(|(name, bytes)| PartBytes { name, bytes }).collect(),
        })
    }
}

impl Report {
    /// The report on a package and the source's own, packed in single precision. Latency, a frontier and a recipe are
    /// left to add.
    ///
    /// # Errors
    /// A package whose graph can't be read.
    pub fn new(source: &Package, packed: &Package, comparison: Comparison, thresholds: Thresholds) -> Result<Self> {
        let manifest = packed.manifest();
        let missed = thresholds.check(&comparison).err().map_or(Vec::new(), |missed| missed.0);
        Ok(Self {
            name: manifest.name.to_string(),
            task: manifest.task,
            description: manifest.description.clone(),
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            loss: comparison.loss(),
            comparison,
            thresholds,
            missed,
            source: Side::of(source)?,
            package: Side::of(packed)?,
            latency: Vec::new(),
            pruning: manifest.pruning.clone(),
            quantization: manifest.quantization.clone(),
            frontier: None,
            recipe: None,
        })
    }

    /// What came out, in a sentence or two.
    pub fn sentence(&self) -> String {
        figures::sentence(self)
    }

    /// The package's size in parts of its source's.
    fn size(&self) -> f64 {
        self.package.package_bytes as f64 / self.source.package_bytes.max(1) as f64
    }
}

/// Writes a report as one HTML file.
///
/// # Errors
/// A file that can't be written.
pub fn write(path: &Path, report: &Report) -> Result<()> {
    let page = page::render(report).map_err(|error| anyhow!("the report can't be made: {error:#}"))?;
    write_whole(path, page.as_bytes()).with_context(|| format!("can't write {}", path.display()))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.sentence())?;
        for Figure { name, source, packed, note } in figures::of(&self.comparison) {
            let values = if source.is_empty() { packed } else { format!("{source} -> {packed}") };
            writeln!(f, "{}", format!("  {name:<22} {values:<20} {note}").trim_end())?;
        }
        let sizes = (bytes(self.source.package_bytes as f64), bytes(self.package.package_bytes as f64));
        writeln!(f, "  {:<22} {:<20} {:.3} of it", "size", format!("{} -> {}", sizes.0, sizes.1), self.size())?;
        for timing in &self.latency {
            let (before, after) = (timing.source.median_ms, timing.packed.median_ms);
            let values = format!("{before:.2} ms -> {after:.2} ms");
            writeln!(f, "  {:<22} {values:<20} {}", timing.what, times(timing.speed()))?;
        }
        for (index, case) in self.comparison.worst.iter().take(PRINTED_CASES).enumerate() {
            let head = if index == 0 { "worst" } else { "" };
            writeln!(f, "  {head:<22} {}: {} -> {}", case.name, case.source, case.packed)?;
        }
        write!(f, "  {:<22} {}", "loss", self.loss)?;
        if !self.thresholds.is_empty() && self.missed.is_empty() {
            write!(f, "\n  {:<22} all kept", "thresholds")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
