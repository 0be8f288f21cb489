//! What a package says about texts: how they become tensors, and what the graph's output means.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ops::Pooling;

/// How a text becomes tensors, and tensors an answer. The tokenizer itself is the section `tokenizer.json`.
///
/// Every tensor of the graph's inputs is `INT64` `[batch, tokens]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextSpec {
    /// The longest input in tokens, special ones included; what is beyond is cut off.
    pub max_tokens: usize,
    /// The graph's input of token ids.
    pub ids: String,
    /// The graph's input that is 1 for a token and 0 for padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
    /// The graph's input that tells the first text of a pair (0) from the second (1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<String>,
    /// The graph's input of positions, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<String>,
    /// The id that pads a row.
    #[serde(default)]
    pub padding_id: i64,
    /// How the graph makes one vector of a text's tokens; absent where the model does so by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooling: Option<Pooling>,
    /// Whether vectors are scaled to a length of 1 before they are handed out.
    #[serde(default)]
    pub normalize: bool,
    /// Texts to put before an input, by the name of their purpose: `query`, `passage`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prompts: BTreeMap<String, String>,
    /// The name of the prompt that is used where a request names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_prompt: Option<String>,
    /// What a classifier's or reranker's logits mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// What a classifier's logits mean, as `problem_type` in a Hugging Face configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// One label is right: softmax.
    SingleLabel,
    /// Any number of labels is right: the logistic function of each.
    MultiLabel,
    /// The number is the answer.
    Regression,
}
