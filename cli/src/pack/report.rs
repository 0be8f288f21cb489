//! What `emberlite pack` prints.

use std::fmt;
use std::path::{Path, PathBuf};

use emberlite::model::{Agreement, Digest, Manifest, Quantization, Verification};
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
        let Manifest { name, inputs, outputs, labels, verification, .. } = self.manifest;
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
        write!(f, "  checked  {}", Checked(verification))?;
        self.manifest.quantization.as_ref().map_or(Ok(()), |quantization| write!(f, "\n{}", Quantized(quantization)))
    }
}

/// A verification as a sentence.
pub struct Checked<'a>(pub &'a Verification);

impl fmt::Display for Checked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verification { batch_sizes, lengths, inputs, max_abs_difference } = self.0;
        write!(f, "{inputs} inputs at batch sizes {batch_sizes:?}")?;
        if !lengths.is_empty() {
            write!(f, " and {lengths:?} tokens, with padding,")?;
        }
        write!(f, " give the same outputs before and after (largest difference {max_abs_difference:.1e})")
    }
}

/// A quantization in a few lines, the layers that cost most first.
pub struct Quantized<'a>(pub &'a Quantization);

impl fmt::Display for Quantized<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quantization { scheme, kept, layers, agreement } = self.0;
        let Agreement { texts, isa, cosine, labels, max_abs_difference } = agreement;
        write!(f, "  weights  {scheme:?}, against the source on {texts} texts with {isa}: ")?;
        if let Some(cosine) = cosine {
            write!(f, "cosine {:.5} in the mean, {:.5} at least", cosine.mean, cosine.least)?;
        } else {
            write!(f, "largest difference of a logit {max_abs_difference:.1e}")?;
        }
        if let Some(labels) = labels {
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
