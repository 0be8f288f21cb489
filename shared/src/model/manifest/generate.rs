//! What a package says about a language model: how texts begin and end, what a chat looks like, how tokens are drawn.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a text is generated. The tokenizer itself is the section `tokenizer.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerateSpec {
    /// The longest sequence in tokens, prompt and answer together.
    pub context_tokens: usize,
    /// How long a row of logits is.
    pub vocabulary: usize,
    /// Any of them ends a text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub end_tokens: Vec<u32>,
    /// The token that goes first where the tokenizer puts none there by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin_token: Option<u32>,
    /// What makes one text of a chat: Jinja, as in `tokenizer_config.json` or `chat_template.jinja`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<String>,
    /// The special tokens that the template may name: `bos_token`, `eos_token`, `pad_token`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub special: BTreeMap<String, String>,
    /// How tokens are drawn where a request does not say.
    #[serde(default)]
    pub sampling: SamplingDefaults,
    /// What packing cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perplexity: Option<Perplexity>,
}

/// How tokens are drawn where a request does not say, as the model's authors advise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SamplingDefaults {
    /// Divides the logits; 0 takes the likeliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Of how many of the likeliest tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Of the likeliest tokens that together have this probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// Of the tokens that have at least this part of the likeliest one's probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f32>,
    /// Divides the logits of tokens that were there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f32>,
}

/// The perplexity of a text before and after packing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Perplexity {
    /// The name of the text.
    pub text: String,
    /// How many of its tokens were predicted.
    pub tokens: usize,
    /// That of the source's weights.
    pub source: f64,
    /// That of the package's.
    pub packed: f64,
}
