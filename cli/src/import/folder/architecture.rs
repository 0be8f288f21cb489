//! The architectures: for each the names of its settings and tensors, and how the shared pieces are put together.

use emberlite::ops::Activation;
use serde_json::{Value, json};

use super::error::FolderError;
use super::settings::Settings;
use crate::import::causal;

/// How encoders of one kind are made and written down.
///
/// A layer is attention and a feed-forward part, each with its residual and its norm. Names of tensors are those
/// before `.weight` and `.bias`; a layer's are within [`layer`](Self::layer).
#[derive(Clone, Copy, Debug)]
pub(super) struct Architecture {
    /// What `model_type` says.
    model_types: &'static [&'static str],
    /// What the names of its classes begin with: `BertModel`, `BertForSequenceClassification`.
    classes: &'static [&'static str],
    /// What tensors of the encoder are within where the model has a head.
    pub(super) base: &'static str,
    fields: Fields,
    /// The table of tokens.
    pub(super) tokens: &'static str,
    /// The norm after the embeddings.
    pub(super) embedding_norm: &'static str,
    pub(super) positions: Positions,
    /// Whether there is a table for the first and the second text of a pair.
    pub(super) segments: bool,
    /// What a layer's tensors are within; its number follows.
    pub(super) layer: &'static str,
    /// Queries, keys and values: three tensors, or one that holds them all.
    pub(super) attention: &'static [&'static str],
    pub(super) attention_output: &'static str,
    pub(super) attention_norm: &'static str,
    pub(super) intermediate: &'static str,
    /// Whether half of what the intermediate layer gives is a gate for the other.
    pub(super) gated: bool,
    pub(super) output: &'static str,
    pub(super) output_norm: &'static str,
    /// The norm after the last layer; with one, norms come before attention and feed-forward, not after.
    pub(super) final_norm: Option<&'static str>,
    pub(super) head: Head,
}

/// What the settings of an architecture are called.
#[derive(Clone, Copy, Debug)]
struct Fields {
    width: &'static str,
    heads: &'static str,
    layers: &'static str,
    intermediate: &'static str,
    activation: &'static str,
    epsilon: &'static str,
}

/// How a token's position gets into the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Positions {
    /// A table, its first row for the first token.
    Counted,
    /// A table, counted from the row after the padding's.
    AfterPadding,
    /// As [`AfterPadding`](Self::AfterPadding), and scores of attention get a bias by distance, in buckets of this table.
    Biased(&'static str),
    /// Queries and keys are rotated; most layers see near tokens only.
    Rotary,
}

/// What makes logits of a text: a dense layer over its pooled vector, perhaps a norm, and the classifier.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) dense: &'static str,
    pub(super) activation: Activation,
    pub(super) norm: Option<&'static str>,
    pub(super) classifier: &'static str,
}

const BERT: Architecture = Architecture {
    model_types: &["bert"],
    classes: &["Bert"],
    base: "bert.",
    fields: Fields {
        width: "hidden_size",
        heads: "num_attention_heads",
        layers: "num_hidden_layers",
        intermediate: "intermediate_size",
        activation: "hidden_act",
        epsilon: "layer_norm_eps",
    },
    tokens: "embeddings.word_embeddings",
    embedding_norm: "embeddings.LayerNorm",
    positions: Positions::Counted,
    segments: true,
    layer: "encoder.layer.",
    attention: &["attention.self.query", "attention.self.key", "attention.self.value"],
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    intermediate: "intermediate.dense",
    gated: false,
    output: "output.dense",
    output_norm: "output.LayerNorm",
    final_norm: None,
    head: Head { dense: "bert.pooler.dense", activation: Activation::Tanh, norm: None, classifier: "classifier" },
};

const ELECTRA: Architecture = Architecture {
    model_types: &["electra"],
    classes: &["Electra"],
    base: "electra.",
    head: Head {
        dense: "classifier.dense",
        activation: Activation::Gelu,
        norm: None,
        classifier: "classifier.out_proj",
    },
    ..BERT
};

const ROBERTA: Architecture = Architecture {
    model_types: &["roberta", "xlm-roberta", "camembert"],
    classes: &["Roberta", "XLMRoberta", "Camembert"],
    base: "roberta.",
    positions: Positions::AfterPadding,
    head: Head { activation: Activation::Tanh, ..ELECTRA.head },
    ..BERT
};

const MPNET: Architecture = Architecture {
    model_types: &["mpnet"],
    classes: &["MPNet"],
    base: "mpnet.",
    positions: Positions::Biased("encoder.relative_attention_bias"),
    segments: false,
    attention: &["attention.attn.q", "attention.attn.k", "attention.attn.v"],
    attention_output: "attention.attn.o",
    attention_norm: "attention.LayerNorm",
    ..ROBERTA
};

const DISTILBERT: Architecture = Architecture {
    model_types: &["distilbert"],
    classes: &["DistilBert"],
    base: "distilbert.",
    fields: Fields {
        width: "dim",
        heads: "n_heads",
        layers: "n_layers",
        intermediate: "hidden_dim",
        activation: "activation",
        ..BERT.fields
    },
    segments: false,
    layer: "transformer.layer.",
    attention: &["attention.q_lin", "attention.k_lin", "attention.v_lin"],
    attention_output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    intermediate: "ffn.lin1",
    output: "ffn.lin2",
    output_norm: "output_layer_norm",
    head: Head { dense: "pre_classifier", activation: Activation::Relu, norm: None, classifier: "classifier" },
    ..BERT
};

const MODERNBERT: Architecture = Architecture {
    model_types: &["modernbert"],
    classes: &["ModernBert"],
    base: "model.",
    fields: Fields { activation: "hidden_activation", epsilon: "norm_eps", ..BERT.fields },
    tokens: "embeddings.tok_embeddings",
    embedding_norm: "embeddings.norm",
    positions: Positions::Rotary,
    segments: false,
    layer: "layers.",
    attention: &["attn.Wqkv"],
    attention_output: "attn.Wo",
    attention_norm: "attn_norm",
    intermediate: "mlp.Wi",
    gated: true,
    output: "mlp.Wo",
    output_norm: "mlp_norm",
    final_norm: Some("final_norm"),
    head: Head { dense: "head.dense", activation: Activation::Gelu, norm: Some("head.norm"), classifier: "classifier" },
};

const ALL: [Architecture; 6] = [BERT, DISTILBERT, ELECTRA, MODERNBERT, MPNET, ROBERTA];

/// What a folder's model ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A vector for each token.
    Encoder,
    /// Logits for each text.
    Classifier,
}

/// The sizes of an encoder, as its settings tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) layers: usize,
    pub(super) intermediate: usize,
    pub(super) activation: Activation,
    pub(super) epsilon: f32,
    /// Whether attention, the feed-forward part and norms have biases.
    pub(super) biases: Biases,
}

/// Which parts have biases.
#[derive(Clone, Copy, Debug)]
pub(super) struct Biases {
    pub(super) attention: bool,
    pub(super) feed_forward: bool,
    pub(super) norm: bool,
    pub(super) head: bool,
}

impl Architecture {
    /// The architecture that `config.json` tells, and what the model ends in.
    ///
    /// # Errors
    /// An architecture that is not built from its weights, or settings that change its arithmetic.
    pub(super) fn of(config: &Settings) -> Result<(Self, Kind), FolderError> {
        let model_type = config.text("model_type").unwrap_or("");
        let Some(found) = ALL.iter().find(|known| known.model_types.contains(&model_type)) else {
            let encoders = ALL.iter().flat_map(|known| known.model_types).copied();
            let expected: Vec<_> = encoders.chain(causal::Architecture::names()).collect();
            return Err(FolderError::UnknownArchitecture {
                path: config.path().to_owned(),
                got: format!("{model_type:?}"),
                expected: expected.join(", "),
            });
        };
        let kind = found.kind(config)?;
        found.check(config, kind)?;
        Ok((*found, kind))
    }

    fn kind(&self, config: &Settings) -> Result<Kind, FolderError> {
        let Some(class) = config.get("architectures").and_then(|classes| classes.get(0)).and_then(Value::as_str) else {
            return Ok(Kind::Encoder);
        };
        let rest = self.classes.iter().find_map(|prefix| class.strip_prefix(prefix));
        match rest {
            Some("Model" | "ForMaskedLM" | "ForPreTraining") => Ok(Kind::Encoder),
            Some("ForSequenceClassification") => Ok(Kind::Classifier),
            _ => {
                let name = self.classes.join("|");
                let expected = format!("{name} with Model, ForMaskedLM, ForPreTraining or ForSequenceClassification");
                Err(config.refuse("architectures", &expected))
            }
        }
    }

    /// Refuses settings that change the arithmetic.
    fn check(&self, config: &Settings, kind: Kind) -> Result<(), FolderError> {
        config.only("is_decoder", json!(false))?;
        config.only("add_cross_attention", json!(false))?;
        config.only("position_embedding_type", json!("absolute"))?;
        if config.get("quantization_config").is_some() {
            return Err(config.refuse("quantization_config", "weights as they were trained, in f32, f16 or bf16"));
        }
        let class = if kind == Kind::Classifier { "AutoModelForSequenceClassification" } else { "AutoModel" };
        if config.get("auto_map").is_some_and(|map| map.get(class).is_some()) {
            return Err(config.refuse("auto_map", "a model without code of its own"));
        }
        if let Positions::Biased(_) = self.positions {
            config.only("relative_attention_num_buckets", json!(32))?;
        }
        Ok(())
    }

    /// The sizes that `config.json` tells.
    pub(super) fn sizes(&self, config: &Settings) -> Result<Sizes, FolderError> {
        let Fields { width, heads, layers, intermediate, activation, epsilon } = self.fields;
        let count = config.size(heads)?;
        let size = config.size(width)?;
        if !size.is_multiple_of(count) {
            return Err(config.refuse(heads, &format!("a number that divides {width}, which is {size}")));
        }
        let before = self.final_norm.is_some();
        let bias = |field: &str| if before { config.flag_or(field, false) } else { Ok(true) };
        Ok(Sizes {
            width: size,
            heads: count,
            layers: config.size(layers)?,
            intermediate: config.size(intermediate)?,
            activation: config.activation_or(activation, Activation::Gelu)?,
            epsilon: config.number_or(epsilon, if before { 1e-5 } else { 1e-12 })? as f32,
            biases: Biases {
                attention: bias("attention_bias")?,
                feed_forward: bias("mlp_bias")?,
                norm: bias("norm_bias")?,
                head: bias("classifier_bias")?,
            },
        })
    }
}
