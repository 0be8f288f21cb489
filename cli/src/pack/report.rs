//! What `emberlite pack` prints.

use std::fmt;
use std::path::{Path, PathBuf};

use emberlite::model::{Agreement, Digest, Manifest, Perplexity, Quantization, Task, Verification};
use serde::Serialize;

use super::Packed;

/// How many layers are shown: those with the greatest errors.
const SHOWN_LAYERS: usize = 8;

/// What `emberlite pack --json` prints.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    file: PathBuf,
    digest: &'a Digest,
    package_bytes: usize,
    warnings: &'a [String],
    manifest: &'a Manifest,
}

impl<'a> Report<'a> {
    /// The report on a package that was written to `file`.
    pub fn new(packed: &'a Packed, file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            digest: &packed.digest,
            package_bytes: packed.bytes.len(),
            warnings: &packed.warnings,
            manifest: &packed.manifest,
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        let Manifest { name, inputs, outputs, labels, .. } = self.manifest;
        writeln!(f, "{name}: {} ({} bytes)", self.file.display(), self.package_bytes)?;
        writeln!(f, "  digest   {}", self.digest)?;
        for input in inputs {
            writeln!(f, "  input    {} {} {}", input.name, input.dtype, input.shape_text())?;
        }
        for output in outputs {
            let role = output.role.map_or("values", crate::inspect::role_name);
            writeln!(f, "  output   {} {} {}, {role}", output.name, output.dtype, output.shape_text())?;
        }
        if !labels.is_empty() {
            writeln!(f, "  labels   {}", labels.join(", "))?;
        }
        if let Some(vocabulary) = &self.manifest.vocabulary {
            writeln!(f, "  tokens   {} of {} kept, for {} texts", vocabulary.tokens, vocabulary.of, vocabulary.texts)?;
        }
        if let Some(spec) = &self.manifest.generate {
            writeln!(f, "  context  {} tokens", spec.context_tokens)?;
        }
        write!(f, "  checked  {}", Checked::of(self.manifest))?;
        if let Some(quantization) = Quantized::of(self.manifest) {
            write!(f, "\n{quantization}")?;
        }
        let perplexity = self.manifest.generate.as_ref().and_then(|spec| spec.perplexity.as_ref());
        perplexity.map_or(Ok(()), |perplexity| write!(f, "\n  loss     {}", Measured(perplexity)))
    }
}

/// A perplexity as a sentence.
pub struct Measured<'a>(pub &'a Perplexity);

impl fmt::Display for Measured<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Perplexity { text, tokens, source, packed } = self.0;
        let growth = 100.0 * (packed / source - 1.0);
        write!(f, "perplexity {source} before, {packed} after ({growth:+.2} %), on {tokens} tokens of {text}")
    }
}

/// A verification as a sentence.
pub struct Checked<'a> {
    verification: &'a Verification,
    task: Task,
}

impl<'a> Checked<'a> {
    /// That of a package.
    pub fn of(manifest: &'a Manifest) -> Self {
        Self { verification: &manifest.verification, task: manifest.task }
    }
}

impl fmt::Display for Checked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verification { batch_sizes, lengths, inputs, max_abs_difference } = self.verification;
        if self.task == Task::Generate {
            return write!(
                f,
                "{inputs} prompts of {lengths:?} tokens, token by token, in chunks and two at a time, have the logits \
                 of the source in one go (largest difference {max_abs_difference:.1e})"
            );
        }
        write!(f, "{inputs} inputs at batch sizes {batch_sizes:?}")?;
        if !lengths.is_empty() {
            write!(f, " and {lengths:?} tokens, with padding,")?;
        }
        write!(f, " give the same outputs before and after (largest difference {max_abs_difference:.1e})")
    }
}

/// A quantization in a few lines, the layers that cost most first.
pub struct Quantized<'a> {
    quantization: &'a Quantization,
    task: Task,
}

impl<'a> Quantized<'a> {
    /// That of a package, if it has one.
    pub fn of(manifest: &'a Manifest) -> Option<Self> {
        manifest.quantization.as_ref().map(|quantization| Self { quantization, task: manifest.task })
    }
}

impl fmt::Display for Quantized<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quantization { scheme, method, kept, layers, agreement, calibration } = self.quantization;
        let Agreement { texts, isa, cosine, labels, max_abs_difference } = agreement;
        let speaks = self.task == Task::Generate;
        write!(f, "  weights  {scheme:?}")?;
        if let Some(method) = method {
            write!(f, " ({method})")?;
        }
        if let Some(text) = calibration {
            write!(f, " calibrated on {text}")?;
        }
        let what = if speaks { "tokens" } else { "texts" };
        write!(f, ", against the source on {texts} {what} with {isa}: ")?;
        if let Some(cosine) = cosine {
            write!(f, "cosine {:.5} in the mean, {:.5} at least", cosine.mean, cosine.least)?;
        } else {
            write!(f, "largest difference of a logit {max_abs_difference:.1e}")?;
        }
        if let Some(labels) = labels.filter(|_| speaks) {
            write!(f, ", the likeliest token is the same in {:.1} % of places", labels * 100.0)?;
        } else if let Some(labels) = labels {
            write!(f, ", {:.1} % get the same labels", labels * 100.0)?;
        }
        if !kept.is_empty() {
            write!(f, "\n  kept     {} of {} layers: {}", kept.len(), layers.len(), kept.join(", "))?;
        }
        let measured = layers.iter().filter_map(|layer| Some((layer, layer.error?)));
        for (index, (layer, error)) in measured.take(SHOWN_LAYERS).enumerate() {
            let head = if index == 0 { "errors " } else { "       " };
            write!(f, "\n  {head}  {error:.1e}  {} ({:?})", layer.name, layer.format)?;
        }
        Ok(())
    }
}
