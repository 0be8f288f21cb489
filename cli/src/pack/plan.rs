//! `emberlite pack --dry-run`: what a package would be, without the work that makes it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use emberlite::model::{Manifest, ModelName, Task, TensorSpec, Verification};
use emberlite::ops::WeightFormat;
use serde::Serialize;

use super::{Checked, Draft, Prepared, Request, prepare};
use crate::bench::bytes;
use crate::progress::Progress;
use crate::quantize::{AUTO, Quantize, Quantizer, Scheme};
use crate::recipe::QuantizeSettings;

/// What would be packed.
#[derive(Debug, Serialize)]
pub struct Planned {
    file: PathBuf,
    /// The size of the file that is in its place now.
    replaces_bytes: Option<u64>,
    name: ModelName,
    task: Task,
    source: PathBuf,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    /// What would be taken out, in this order.
    prune: Vec<String>,
    scheme: Scheme,
    /// The format that each layer's weights would have.
    layers: BTreeMap<String, WeightFormat>,
    /// Of the package as it would be before anything is taken out of the model.
    package_bytes: usize,
    /// Of a package whose weights are as they are in the source.
    unquantized_bytes: usize,
    /// Whether formats and steps would be searched for, beginning with these.
    search: bool,
    verification: Verification,
    warnings: Vec<String>,
    #[serde(skip)]
    manifest: Box<Manifest>,
}

/// Imports a model and checks it as [`pack`](super::pack) does, and tells what would be made of it. Nothing is calibrated,
/// measured or written.
///
/// # Errors
/// As [`pack`](super::pack), as far as that is tried.
pub fn plan(request: &Request, output: Option<&Path>) -> Result<Planned> {
    let progress = Progress::start("importing the model");
    let (recipe, prepared, mut warnings) = prepare(request, &progress)?;
    let scheme = recipe.quantize.scheme.unwrap_or(prepared.usual());
    progress.step("counting what the package would have");
    let model = prepared.whole().model;
    let layers = formats(&prepared, &recipe.quantize, scheme, &progress)?;
    let plain = prepared.reference();
    let quantized = Quantize(layers.clone()).applied(&model)?;
    let draft = Draft::new(plain.manifest.clone(), &quantized, plain.tokenizer.clone())?;
    warnings.extend(plain.warnings.clone());
    let manifest = Box::new(plain.manifest.clone());
    let file = output.map_or_else(|| format!("{}.ember", manifest.name).into(), Path::to_owned);
    Ok(Planned {
        replaces_bytes: std::fs::metadata(&file).ok().map(|file| file.len()),
        file,
        name: manifest.name.clone(),
        task: manifest.task,
        source: recipe.model.clone(),
        inputs: manifest.inputs.clone(),
        outputs: manifest.outputs.clone(),
        prune: recipe.prune.iter().map(ToString::to_string).collect(),
        scheme,
        package_bytes: draft.write()?.0.len(),
        unquantized_bytes: plain.write()?.0.len(),
        layers,
        search: request.goal.is_some(),
        verification: manifest.verification.clone(),
        warnings,
        manifest,
    })
}

/// The format of each layer; those that are kept for what they would lose are not known before that is measured.
fn formats(
    prepared: &Prepared,
    settings: &QuantizeSettings,
    scheme: Scheme,
    progress: &Progress,
) -> Result<BTreeMap<String, WeightFormat>> {
    let named = settings.keep.iter().filter(|pattern| *pattern != AUTO).cloned().collect();
    let settings = QuantizeSettings { keep: named, ..settings.clone() };
    let given = match prepared {
        Prepared::Language(prepared) => prepared.given(),
        Prepared::Tensors(_) | Prepared::Texts(_) => &BTreeMap::new(),
    };
    let calibration = prepared.calibration();
    let quantizer =
        Quantizer { scheme, settings: &settings, given, layer_errors: false, calibration: &*calibration, progress };
    quantizer.planned(&prepared.whole().model)
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        let Self { file, name, task, source, scheme, layers, search, .. } = self;
        write!(f, "{name}: {} would be written", file.display())?;
        match self.replaces_bytes {
            Some(size) => writeln!(f, ", in the place of a file of {}", bytes(size))?,
            None => writeln!(f)?,
        }
        writeln!(f, "  source   {}, for the task {task}", source.display())?;
        for input in &self.inputs {
            writeln!(f, "  input    {} {} {}", input.name, input.dtype, input.shape_text())?;
        }
        for output in &self.outputs {
            writeln!(f, "  output   {} {} {}", output.name, output.dtype, output.shape_text())?;
        }
        if !self.prune.is_empty() {
            writeln!(f, "  prune    {}", self.prune.join(", then "))?;
        }
        if layers.is_empty() {
            writeln!(f, "  weights  as they are")?;
        } else {
            writeln!(f, "  weights  {scheme}: {}", counted(layers))?;
        }
        let before = if self.prune.is_empty() { "" } else { ", before anything is taken out" };
        write!(f, "  size     about {}{before}", bytes(self.package_bytes as u64))?;
        if self.package_bytes < self.unquantized_bytes {
            write!(f, ", of {} with weights as they are", bytes(self.unquantized_bytes as u64))?;
        }
        writeln!(f)?;
        if *search {
            writeln!(f, "  search   it begins here, and tries what makes the package smaller or faster")?;
        }
        write!(f, "  checked  {}\nNothing was written: leave --dry-run out to pack it", Checked::of(&self.manifest))
    }
}

/// How many layers have which format, the most first.
fn counted(layers: &BTreeMap<String, WeightFormat>) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for format in layers.values().map(|format| format!("{format:?}")) {
        match counts.iter_mut().find(|(known, _)| *known == format) {
            Some((_, count)) => *count += 1,
            None => counts.push((format, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().map(|(format, count)| format!("{count} layers in {format}")).collect::<Vec<_>>().join(", ")
}
