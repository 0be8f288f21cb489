//! `emberlite inspect`: what is in a package, once its every byte has been checked.

mod generate;
mod load;
mod parts;
mod text;
mod trust;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};
use emberlite::model::{Digest, Manifest, Role};
use emberlite::trust::Requirements;
use serde::Serialize;

use crate::pack::{Checked, Quantized, Taken};
use crate::recipe::Recipe;
use generate::GeneratePart;
pub use load::{Load, load};
pub(crate) use parts::Parts;
use text::TextPart;
use trust::TrustPart;

/// What a package holds.
#[derive(Debug, Serialize)]
pub struct Inspection {
    digest: Digest,
    package_bytes: usize,
    trust: TrustPart,
    manifest: Manifest,
    /// How often each operator stands in the graph.
    operators: BTreeMap<String, usize>,
    parts: Parts,
    sections: Vec<Section>,
}

#[derive(Debug, Serialize)]
struct Section {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    /// As they are stored.
    bytes: usize,
    /// The share of zeros, where it is stored without them.
    #[serde(skip_serializing_if = "Option::is_none")]
    zeros: Option<f64>,
}

/// Opens a package file and reads all it says; `requirements` decrypt it, and judge it.
///
/// # Errors
/// A file that is no intact package, or that there is no key for.
pub fn inspect(file: &Path, requirements: &Requirements) -> Result<Inspection> {
    let opened = crate::trust::wait(crate::trust::open(file, &crate::trust::gate(requirements)))?;
    let trust = TrustPart::of(&opened, requirements);
    let package = opened.package;
    let graph = package.read_graph().with_context(|| file.display().to_string())?;
    let mut operators = BTreeMap::new();
    for node in graph.nodes() {
        *operators.entry(node.op.name().into_owned()).or_default() += 1;
    }
    let mut sections: Vec<_> = package
        .sections()
        .map(|section| {
            let (dtype, shape) = section.elements();
            Section {
                name: section.name.to_owned(),
                dtype: section.texts.map_or_else(|| format!("{dtype:?}"), |_| "TEXT".to_owned()),
                shape: section.texts.unwrap_or(shape).to_vec(),
                bytes: section.data.len(),
                zeros: section.zeros(),
            }
        })
        .collect();
    sections.sort_by_key(|section| std::cmp::Reverse(section.bytes));
    let parts = Parts::of(&package).with_context(|| file.display().to_string())?;
    Ok(Inspection {
        trust,
        digest: *package.digest(),
        package_bytes: package.size_bytes(),
        manifest: package.manifest().clone(),
        operators,
        parts,
        sections,
    })
}

/// The recipe that a package carries, as a `pack.toml`.
///
/// # Errors
/// A file that is no intact package, or that there is no key for, or a package without a recipe.
pub fn recipe(file: &Path, requirements: &Requirements) -> Result<String> {
    let opened = crate::trust::wait(crate::trust::open(file, &crate::trust::gate(requirements)))?;
    let recipe = Recipe::of(opened.package.manifest()).with_context(|| file.display().to_string())?;
    toml::to_string(&recipe).context("the recipe can't be written as TOML")
}

/// A role in one word.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Label => "label",
        Role::Probabilities => "probabilities",
        Role::Logits => "logits",
        Role::Values => "values",
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let manifest = &self.manifest;
        writeln!(f, "{} (format {}, {} bytes)", manifest.name, manifest.format, self.package_bytes)?;
        if !manifest.description.is_empty() {
            writeln!(f, "  {}", manifest.description)?;
        }
        writeln!(f, "  digest    {}", self.digest)?;
        let producer = manifest.source.producer.as_deref().unwrap_or("an unknown program");
        writeln!(f, "  source    {} ({}, written by {producer})", manifest.source.file, manifest.source.format)?;
        if !manifest.licence.is_empty() {
            writeln!(f, "  licence   {}", manifest.licence)?;
        }
        write!(f, "\nTrust\n{}", self.trust)?;
        writeln!(f, "\nInputs")?;
        for input in &manifest.inputs {
            writeln!(f, "  {:<28} {:<6} {}", input.name, input.dtype, input.shape_text())?;
        }
        writeln!(f, "\nOutputs")?;
        for output in &manifest.outputs {
            let role = output.role.map_or("values", role_name);
            writeln!(f, "  {:<28} {:<6} {:<12} {role}", output.name, output.dtype, output.shape_text())?;
        }
        if !manifest.labels.is_empty() {
            writeln!(f, "\nLabels\n  {}", manifest.labels.join(", "))?;
        }
        if !manifest.features.is_empty() {
            let names: Vec<_> = manifest.features.iter().map(|feature| feature.name.as_str()).collect();
            writeln!(f, "\nFeatures ({})\n  {}", names.len(), names.join(", "))?;
        }
        if let Some(text) = &manifest.text {
            write!(f, "\nTexts\n{}", TextPart { text, vocabulary: manifest.vocabulary.as_ref() })?;
        }
        if let Some(generate) = &manifest.generate {
            write!(f, "\nGeneration\n{}", GeneratePart { generate })?;
        }
        writeln!(f, "\nOperators")?;
        for (operator, count) in &self.operators {
            writeln!(f, "  {operator:<28} {count}")?;
        }
        writeln!(f, "\nSections")?;
        for Section { name, dtype, shape, bytes, zeros } in &self.sections {
            write!(f, "  {name:<36} {dtype:<6} {:<16} {bytes:>10} bytes", format!("{shape:?}"))?;
            match zeros {
                Some(zeros) => writeln!(f, ", {:.1} % zeros", 100.0 * zeros)?,
                None => writeln!(f)?,
            }
        }
        write!(f, "\nParts\n{}", self.parts)?;
        for (index, step) in manifest.pruning.iter().enumerate() {
            let head = if index == 0 { "\nPruning\n" } else { "" };
            writeln!(f, "{head}  {}", Taken(step))?;
        }
        if let Some(quantization) = Quantized::of(manifest) {
            writeln!(f, "\nQuantization\n{quantization}")?;
        }
        write!(f, "\nChecked against the source: {}", Checked::of(manifest))
    }
}
