//! The sizes of a language model, as its settings tell.

use emberlite::ops::Activation;

use super::architecture::{Architecture, Softcaps};
use crate::import::FolderError;
use crate::import::folder::Settings;

/// The sizes of a language model, and the numbers it computes with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) width: usize,
    pub(super) heads: usize,
    /// Heads of keys and values, each shared by as many heads of queries.
    pub(super) key_heads: usize,
    pub(super) head_width: usize,
    pub(super) layers: usize,
    pub(super) intermediate: usize,
    pub(super) vocabulary: usize,
    pub(super) activation: Activation,
    pub(super) epsilon: f32,
    /// What scores are multiplied by.
    pub(super) scale: f32,
    /// Beyond what scores are squeezed.
    pub(super) score_cap: Option<f32>,
    /// Beyond what logits are squeezed.
    pub(super) logit_cap: Option<f32>,
    pub(super) query_bias: bool,
    pub(super) output_bias: bool,
    pub(super) feed_forward_bias: bool,
    /// Whether the embeddings are the output layer too.
    pub(super) tied: bool,
    /// The longest sequence.
    pub(super) positions: usize,
}

impl Sizes {
    /// Reads the settings.
    ///
    /// # Errors
    /// A size that is not there, or sizes that do not go together.
    pub(super) fn of(architecture: &Architecture, config: &Settings) -> Result<Self, FolderError> {
        let width = config.size("hidden_size")?;
        let heads = config.size("num_attention_heads")?;
        let key_heads = config.size_or("num_key_value_heads", heads)?;
        if !heads.is_multiple_of(key_heads) {
            let expected = format!("a number that divides num_attention_heads, which is {heads}");
            return Err(config.refuse("num_key_value_heads", &expected));
        }
        let head_width = match architecture.head_width {
            None if config.get("head_dim").is_none() && !width.is_multiple_of(heads) => {
                return Err(config.refuse("num_attention_heads", &format!("a number that divides {width}")));
            }
            default => config.size_or("head_dim", default.unwrap_or(width / heads))?,
        };
        if !head_width.is_multiple_of(2) {
            return Err(config.refuse("head_dim", "an even number"));
        }
        let scalar = if architecture.query_scalar {
            config.positive_or("query_pre_attn_scalar", 256.0)?
        } else {
            head_width as f64
        };
        let (scores, logits) = match architecture.softcaps {
            Softcaps::Usual { scores, logits } => (Some(scores), Some(logits)),
            Softcaps::Told | Softcaps::Never => (None, None),
        };
        let cap = |field: &str, usual: Option<f64>| match (architecture.softcaps, config.get(field)) {
            (Softcaps::Never, _) => Ok(None),
            (_, None) => Ok(usual.filter(|_| !config.is_null(field)).map(|cap| cap as f32)),
            (_, Some(_)) => config.positive_or(field, 1.0).map(|cap| Some(cap as f32)),
        };
        Ok(Self {
            width,
            heads,
            key_heads,
            head_width,
            layers: config.size("num_hidden_layers")?,
            intermediate: config.size("intermediate_size")?,
            vocabulary: config.size("vocab_size")?,
            activation: architecture.activation(config)?,
            epsilon: config.number_or("rms_norm_eps", 1e-6)? as f32,
            scale: (1.0 / scalar.sqrt()) as f32,
            score_cap: cap("attn_logit_softcapping", scores)?,
            logit_cap: cap("final_logit_softcapping", logits)?,
            query_bias: architecture.query_bias.of(config)?,
            output_bias: architecture.output_bias.of(config)?,
            feed_forward_bias: architecture.feed_forward_bias.of(config)?,
            tied: config.flag_or("tie_word_embeddings", architecture.tied)?,
            positions: config.size("max_position_embeddings")?,
        })
    }
}
