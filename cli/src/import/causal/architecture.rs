//! The architectures of language models: for each what its layers have, and what its settings mean where they are silent.

use emberlite::ops::Activation;
use serde_json::{Value, json};

use crate::import::FolderError;
use crate::import::folder::Settings;

/// How language models of one kind are made.
///
/// All have the layers of Llama: RMS norm, attention with rotated queries and keys, RMS norm, a gated feed-forward part.
#[derive(Clone, Copy, Debug)]
pub(in crate::import) struct Architecture {
    /// What `model_type` says.
    pub(in crate::import) model_type: &'static str,
    /// What the name of its class begins with: `LlamaForCausalLM`.
    class: &'static str,
    /// Whether the projections to queries, keys and values have a bias.
    pub(super) query_bias: Bias,
    /// Whether the projection after attention has one.
    pub(super) output_bias: Bias,
    /// Whether the feed-forward part has them.
    pub(super) feed_forward_bias: Bias,
    /// Whether each head of queries and keys has an RMS norm.
    pub(super) head_norms: bool,
    /// Whether there are norms after attention and after the feed-forward part too, before their residuals.
    pub(super) post_norms: bool,
    /// What is added to the gain of every norm.
    pub(super) norm_offset: f32,
    /// Whether embeddings are multiplied by the square root of their width.
    pub(super) scaled_embeddings: bool,
    /// Whether `query_pre_attn_scalar` tells what scores are divided by the square root of.
    pub(super) query_scalar: bool,
    /// How scores and logits are squeezed by a hyperbolic tangent.
    pub(super) softcaps: Softcaps,
    /// What gates the feed-forward part: the setting, and what holds where there is none.
    pub(super) activation: (&'static str, Activation),
    /// The width of a head where the settings do not tell; none for the width of a token over the heads.
    pub(super) head_width: Option<usize>,
    /// Whether the embeddings are the output layer too where the settings do not tell.
    pub(super) tied: bool,
    pub(super) spans: Spans,
    /// The base of the rotations where the settings do not tell.
    pub(super) theta: f64,
    /// The base in layers of a window: the setting and its default, where it is another one.
    pub(super) local_theta: Option<(&'static str, f64)>,
}

/// Whether a projection has a bias.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bias {
    Never,
    Always,
    /// As this setting says; without it there is none.
    Setting(&'static str),
}

/// Beyond what numbers are squeezed, if anything is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Softcaps {
    Never,
    /// Where the settings tell.
    Told,
    /// Here too where they are silent.
    Usual {
        scores: f64,
        logits: f64,
    },
}

/// Which layers see a window of near tokens only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spans {
    /// None.
    Whole,
    /// Every one, if there is a window.
    Window,
    /// If `use_sliding_window` says so, those from `max_window_layers` on.
    Upper,
    /// All but the last of so many, again and again; `sliding_window_pattern` may tell another number.
    Pattern(usize),
}

const LLAMA: Architecture = Architecture {
    model_type: "llama",
    class: "LlamaForCausalLM",
    query_bias: Bias::Setting("attention_bias"),
    output_bias: Bias::Setting("attention_bias"),
    feed_forward_bias: Bias::Setting("mlp_bias"),
    head_norms: false,
    post_norms: false,
    norm_offset: 0.0,
    scaled_embeddings: false,
    query_scalar: false,
    softcaps: Softcaps::Never,
    activation: ("hidden_act", Activation::Silu),
    head_width: None,
    tied: false,
    spans: Spans::Whole,
    theta: 10_000.0,
    local_theta: None,
};

const MISTRAL: Architecture = Architecture {
    model_type: "mistral",
    class: "MistralForCausalLM",
    query_bias: Bias::Never,
    output_bias: Bias::Never,
    feed_forward_bias: Bias::Never,
    spans: Spans::Window,
    ..LLAMA
};

const QWEN2: Architecture = Architecture {
    model_type: "qwen2",
    class: "Qwen2ForCausalLM",
    query_bias: Bias::Always,
    output_bias: Bias::Never,
    feed_forward_bias: Bias::Never,
    spans: Spans::Upper,
    ..LLAMA
};

const QWEN3: Architecture = Architecture {
    model_type: "qwen3",
    class: "Qwen3ForCausalLM",
    query_bias: Bias::Setting("attention_bias"),
    output_bias: Bias::Setting("attention_bias"),
    head_norms: true,
    head_width: Some(128),
    ..QWEN2
};

const GEMMA: Architecture = Architecture {
    model_type: "gemma",
    class: "GemmaForCausalLM",
    feed_forward_bias: Bias::Never,
    norm_offset: 1.0,
    scaled_embeddings: true,
    activation: ("hidden_activation", Activation::GeluTanh),
    head_width: Some(256),
    tied: true,
    ..LLAMA
};

const GEMMA2: Architecture = Architecture {
    model_type: "gemma2",
    class: "Gemma2ForCausalLM",
    post_norms: true,
    query_scalar: true,
    softcaps: Softcaps::Usual { scores: 50.0, logits: 30.0 },
    spans: Spans::Pattern(2),
    ..GEMMA
};

const GEMMA3: Architecture = Architecture {
    model_type: "gemma3_text",
    class: "Gemma3ForCausalLM",
    head_norms: true,
    softcaps: Softcaps::Told,
    spans: Spans::Pattern(6),
    theta: 1_000_000.0,
    local_theta: Some(("rope_local_base_freq", 10_000.0)),
    ..GEMMA2
};

const ALL: [Architecture; 7] = [LLAMA, MISTRAL, QWEN2, QWEN3, GEMMA, GEMMA2, GEMMA3];

/// Settings of models that share a name with these and compute something else.
const FOREIGN: [&str; 6] =
    ["num_experts", "num_local_experts", "n_routed_experts", "no_rope_layers", "attn_output_gate", "kv_lora_rank"];

impl Bias {
    /// Whether it is there.
    pub(super) fn of(self, config: &Settings) -> Result<bool, FolderError> {
        match self {
            Self::Never => Ok(false),
            Self::Always => Ok(true),
            Self::Setting(field) => config.flag_or(field, false),
        }
    }
}

impl Architecture {
    /// The architecture that `config.json` tells; `None` for a model that is none of these.
    pub(in crate::import) fn find(config: &Settings) -> Option<Self> {
        let model_type = config.text("model_type")?;
        ALL.into_iter().find(|known| known.model_type == model_type)
    }

    /// Every `model_type` that is known.
    pub(in crate::import) fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|known| known.model_type)
    }

    /// Refuses what is no language model, and settings that change the arithmetic.
    pub(super) fn check(&self, config: &Settings) -> Result<(), FolderError> {
        let class = config.get("architectures").and_then(|classes| classes.get(0));
        if class.is_some_and(|class| class != self.class) {
            return Err(config.refuse("architectures", self.class));
        }
        if config.get("quantization_config").is_some() {
            return Err(config.refuse("quantization_config", "weights as they were trained, in f32, f16 or bf16"));
        }
        if config.get("auto_map").is_some_and(|map| map.get("AutoModelForCausalLM").is_some()) {
            return Err(config.refuse("auto_map", "a model without code of its own"));
        }
        for field in FOREIGN {
            if config.get(field).is_some_and(|value| ![json!(0), json!(false), json!([])].contains(value)) {
                return Err(config.refuse(field, "a model without it"));
            }
        }
        let biases = [("attention_bias", self.output_bias), ("mlp_bias", self.feed_forward_bias)];
        for (field, bias) in biases {
            if let Bias::Never = bias {
                config.only(field, json!(false))?;
            }
        }
        if config.get("partial_rotary_factor").is_some_and(|factor| factor.as_f64() != Some(1.0)) {
            return Err(config.refuse("partial_rotary_factor", "1"));
        }
        let bidirectional = config.get("use_bidirectional_attention").filter(|value| **value != Value::Bool(false));
        match bidirectional {
            Some(_) => Err(config.refuse("use_bidirectional_attention", "false")),
            None => Ok(()),
        }
    }

    /// What gates the feed-forward part. Gemma's first settings say `gelu` in their old field, and mean its approximation.
    pub(super) fn activation(&self, config: &Settings) -> Result<Activation, FolderError> {
        let (field, default) = self.activation;
        match config.activation_or("hidden_act", default)? {
            Activation::Gelu if default == Activation::GeluTanh => config.activation_or(field, default),
            old => config.activation_or(field, old),
        }
    }
}
