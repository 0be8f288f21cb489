//! The settings of a GGUF file in the words of a `config.json`.

use serde_json::{Map, Value as Json, json};

use super::error::GgufError;
use super::file::{File, Value};
use crate::import::ImportError;
use crate::import::causal::{self, Architecture};
use crate::import::folder::Settings;

/// What an architecture is called in a GGUF file, and in a `config.json`.
const NAMES: [(&str, &str); 6] = [
    ("llama", "llama"),
    ("qwen2", "qwen2"),
    ("qwen3", "qwen3"),
    ("gemma", "gemma"),
    ("gemma2", "gemma2"),
    ("gemma3", "gemma3_text"),
];
/// Settings that are the same but for their names, which follow the architecture's.
const SAME: [(&str, &str); 13] = [
    ("embedding_length", "hidden_size"),
    ("block_count", "num_hidden_layers"),
    ("feed_forward_length", "intermediate_size"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("attention.key_length", "head_dim"),
    ("attention.sliding_window", "sliding_window"),
    ("attn_logit_softcapping", "attn_logit_softcapping"),
    ("final_logit_softcapping", "final_logit_softcapping"),
    ("context_length", "max_position_embeddings"),
    ("rope.freq_base", "rope_theta"),
    ("rope.freq_base_swa", "rope_local_base_freq"),
];
/// Settings of which this build knows one value.
const FIXED: [(&str, f64); 5] = [
    ("expert_count", 0.0),
    ("attention.clamp_kqv", 0.0),
    ("logit_scale", 1.0),
    ("residual_scale", 1.0),
    ("embedding_scale", 1.0),
];
/// Of these Gemmas the largest, by architecture and layers, divides scores by another number.
const LARGEST: [(&str, usize); 2] = [("gemma2", 46), ("gemma3", 62)];
/// Divides the angles between neighbours, pair by pair.
pub(super) const FACTORS: &str = "rope_freqs.weight";

/// The architecture of a file and its settings.
///
/// # Errors
/// An architecture or a setting that is not supported.
pub(super) fn read(file: &File<'_>) -> Result<(Architecture, Settings), ImportError> {
    let (name, model_type) = architecture(file)?;
    let values = Keys { file, name }.values(model_type)?;
    let config = Settings::new(&file.path, values);
    let found = Architecture::find(&config).ok_or_else(|| refused_architecture(file))?;
    Ok((found, config))
}

fn architecture<'a>(file: &File<'a>) -> Result<(&'static str, &'static str), GgufError> {
    let given = file.text("general.architecture");
    NAMES.into_iter().find(|(name, _)| given == Some(name)).ok_or_else(|| refused_architecture(file))
}

fn refused_architecture(file: &File<'_>) -> GgufError {
    file.refuse("general.architecture", NAMES.map(|(name, _)| name).join(", "))
}

/// The settings of an architecture.
struct Keys<'a> {
    file: &'a File<'a>,
    name: &'static str,
}

impl Keys<'_> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.file.get(&self.key(key))
    }

    fn refuse(&self, key: &str, expected: &str) -> GgufError {
        self.file.refuse(&self.key(key), expected)
    }

    /// A number; a list of one for each layer is one where all are the same.
    fn number(&self, key: &str) -> Result<Option<Json>, GgufError> {
        let (value, expected) = match self.get(key) {
            None => return Ok(None),
            Some(Value::List(list)) => {
                let same = list.iter().all(|value| list.first() == Some(value));
                (list.first().filter(|_| same), "the same for every layer")
            }
            Some(value) => (Some(value), "a number"),
        };
        let number = value.and_then(|value| match value {
            Value::Whole(whole) => u64::try_from(*whole).ok().map(Json::from),
            Value::Float(number) => Some(shortest(*number)),
            _ => None,
        });
        number.map(Some).ok_or_else(|| self.refuse(key, expected))
    }

    fn values(&self, model_type: &str) -> Result<Map<String, Json>, GgufError> {
        let file = self.file;
        let mut values = Map::new();
        values.insert("model_type".to_owned(), model_type.into());
        for (key, field) in SAME {
            values.extend(self.number(key)?.map(|number| (field.to_owned(), number)));
        }
        for (key, expected) in FIXED {
            if self.get(key).is_some_and(|value| value.as_number() != Some(expected)) {
                return Err(self.refuse(key, &expected.to_string()));
            }
        }
        let table =
            file.tensor("token_embd.weight").ok_or_else(|| file.broken("it has no tensor token_embd.weight"))?;
        values.insert("vocab_size".to_owned(), table.0.shape.first().copied().unwrap_or(0).into());
        let has = |name: &str| file.tensor(name).is_some();
        values.insert("tie_word_embeddings".to_owned(), (!has("output.weight")).into());
        values.insert("attention_bias".to_owned(), has("blk.0.attn_q.bias").into());
        if self.name != "llama" && self.name != "qwen3" {
            values.remove("attention_bias");
        }
        values.insert("mlp_bias".to_owned(), has("blk.0.ffn_up.bias").into());
        if values.get("sliding_window").is_none_or(|window| *window == 0) {
            values.insert("sliding_window".to_owned(), Json::Null);
        }
        self.heads(&mut values)?;
        values.extend(self.scaling()?.map(|scaling| ("rope_scaling".to_owned(), scaling)));
        Ok(values)
    }

    /// The width of a head, which is rotated whole, and what Gemma divides scores by the root of.
    fn heads(&self, values: &mut Map<String, Json>) -> Result<(), GgufError> {
        let whole = |field: &str| values.get(field).and_then(Json::as_u64);
        let per_head = whole("hidden_size").zip(whole("num_attention_heads").filter(|heads| *heads > 0));
        let per_head = per_head.map(|(width, heads)| width / heads);
        let head_width = whole("head_dim").or(per_head);
        for key in ["attention.value_length", "rope.dimension_count"] {
            if self.get(key).is_some_and(|value| value.as_whole() != head_width) {
                return Err(self.refuse(key, &format!("the width of a head, {}", head_width.unwrap_or(0))));
            }
        }
        let layers = whole("num_hidden_layers");
        let largest = LARGEST.iter().any(|(name, count)| *name == self.name && layers == Some(*count as u64));
        let scalar = if largest { per_head } else { head_width };
        values.extend(head_width.map(|width| ("head_dim".to_owned(), width.into())));
        values.extend(scalar.map(|scalar| ("query_pre_attn_scalar".to_owned(), scalar.into())));
        Ok(())
    }

    /// How rotations are stretched.
    fn scaling(&self) -> Result<Option<Json>, GgufError> {
        if let Some((info, bytes)) = self.file.tensor(FACTORS) {
            return Ok(Some(json!({"rope_type": causal::FACTORS, "factors": info.kind.dense(bytes)})));
        }
        let kind = self.file.text(&self.key("rope.scaling.type"));
        let (factor, original) =
            (self.number("rope.scaling.factor")?, self.number("rope.scaling.original_context_length")?);
        let linear = self.number("rope.scale_linear")?;
        Ok(match (kind, linear) {
            (None, Some(factor)) => Some(json!({"rope_type": "linear", "factor": factor})),
            (None | Some("none"), _) => None,
            (Some("linear"), _) => Some(json!({"rope_type": "linear", "factor": factor})),
            (Some("yarn"), _) => {
                let mut yarn = json!({"rope_type": "yarn", "factor": factor});
                if let Some(original) = original {
                    yarn["original_max_position_embeddings"] = original;
                }
                Some(yarn)
            }
            (Some(_), _) => return Err(self.refuse("rope.scaling.type", "none, linear or yarn")),
        })
    }
}

/// A number as it was before it was stored in single precision.
fn shortest(number: f64) -> Json {
    let single = number as f32;
    let number = if f64::from(single) == number { single.to_string().parse().unwrap_or(number) } else { number };
    Json::from(number)
}
