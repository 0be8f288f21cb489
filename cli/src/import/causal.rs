//! Language models, built from their weights: an architecture is a short description, the layers are written once.

mod architecture;
mod decoder;
mod rotation;
mod sizes;
mod spans;
mod speech;
#[cfg(test)]
mod tests;
mod tokens;
mod weights;

use std::collections::BTreeMap;

use emberlite::ops::Q4Blocks;
use tract_core::prelude::TypedModel;

pub(in crate::import) use architecture::Architecture;
use decoder::Decoder;
pub(in crate::import) use rotation::FACTORS;
use rotation::Rotation;
use sizes::Sizes;
pub(in crate::import) use speech::Speech;
pub(in crate::import) use tokens::TokenizerFile;
pub(in crate::import) use weights::Weights;

use super::FolderError;
use super::folder::Settings;

/// A language model that was built.
#[derive(Debug)]
pub(in crate::import) struct Built {
    /// Input `tokens`, output `logits`.
    pub(in crate::import) model: TypedModel,
    /// Layers whose weights are written in blocks of 4 bits, by the names of their nodes.
    pub(in crate::import) q4: BTreeMap<String, Q4Blocks>,
    /// The longest sequence.
    pub(in crate::import) positions: usize,
    /// How many tokens have logits.
    pub(in crate::import) vocabulary: usize,
    /// What the user should know.
    pub(in crate::import) warnings: Vec<String>,
}

/// How a format writes down the gains of norms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) enum Gains {
    /// As transformers does: those of some architectures are less than what is multiplied with.
    AsTrained,
    /// As they are multiplied with.
    Whole,
}

/// Builds the model that `config` describes, in the words of a `config.json`, from its weights.
///
/// # Errors
/// Settings that are not supported, by name; tensors that are not there or have another shape.
pub(in crate::import) fn build(
    architecture: &Architecture,
    config: &Settings,
    weights: &dyn Weights,
    gains: Gains,
) -> Result<Built, FolderError> {
    architecture.check(config)?;
    let sizes = Sizes::of(architecture, config)?;
    let spans = spans::of(architecture, config, sizes.layers)?;
    let whole = Rotation::of(architecture, config, sizes.head_width, false)?;
    let local = Rotation::of(architecture, config, sizes.head_width, true)?;
    let base = if weights.has("model.embed_tokens.weight") { "model." } else { "" };
    let norm_offset = if gains == Gains::AsTrained { architecture.norm_offset } else { 0.0 };
    let mut warnings = Vec::new();
    if whole.dynamic {
        let positions = sizes.positions;
        warnings.push(format!(
            "its rotations change in texts of more than {positions} tokens (rope_type dynamic), which is not supported: \
             the context ends there"
        ));
    }
    let decoder = Decoder { architecture, sizes, weights, base, norm_offset, spans, whole, local };
    let wired = decoder.wire()?;
    warnings.extend(unread(weights, base));
    Ok(Built { model: wired.model, q4: wired.q4, positions: sizes.positions, vocabulary: sizes.vocabulary, warnings })
}

/// Tensors of the model that nothing was made of; buffers that need not be stored do not count.
fn unread(weights: &dyn Weights, base: &str) -> Option<String> {
    let buffers = [".inv_freq", ".masked_bias"];
    let counts = |name: &String| {
        name.starts_with(base) && name != "lm_head.weight" && !buffers.iter().any(|suffix| name.ends_with(suffix))
    };
    let unread: Vec<String> = weights.unread().into_iter().filter(counts).collect();
    let first = unread.first()?;
    Some(format!("{} tensors are not used, `{first}` the first: the settings do not speak of them", unread.len()))
}
