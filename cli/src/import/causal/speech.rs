//! How a language model is spoken to: its special tokens, chat template and sampling, as its folder tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use emberlite::model::{GenerateSpec, SamplingDefaults};
use serde_json::Value;

use super::TokenizerFile;
use crate::import::FolderError;
use crate::import::folder::Settings;

/// Tokenizers that put a token first unless their settings tell them not to, whatever `tokenizer.json` says.
const BEGINNERS: [&str; 6] = [
    "LlamaTokenizer",
    "LlamaTokenizerFast",
    "CodeLlamaTokenizer",
    "CodeLlamaTokenizerFast",
    "GemmaTokenizer",
    "GemmaTokenizerFast",
];

/// What a folder says beside the weights.
#[derive(Clone, Debug, Default)]
pub(in crate::import) struct Speech {
    pub(in crate::import) end_tokens: Vec<u32>,
    pub(in crate::import) begin_token: Option<u32>,
    pub(in crate::import) chat_template: Option<String>,
    pub(in crate::import) special: BTreeMap<String, String>,
    pub(in crate::import) sampling: SamplingDefaults,
    pub(in crate::import) tokenizer: Vec<u8>,
    pub(in crate::import) warnings: Vec<String>,
}

impl Speech {
    /// Reads a folder whose `config.json` is `config`; its model has logits for `vocabulary` tokens.
    ///
    /// # Errors
    /// No tokenizer, or settings that can't be read.
    pub(in crate::import) fn read(root: &Path, config: &Settings, vocabulary: usize) -> Result<Self, FolderError> {
        let mut tokenizer = TokenizerFile::read(root)?;
        let told = Settings::read_or_empty(&root.join("tokenizer_config.json"))?;
        let older = Settings::read_or_empty(&root.join("special_tokens_map.json"))?;
        let generation = Settings::read_or_empty(&root.join("generation_config.json"))?;
        let mut special = special(&older);
        special.extend(self::special(&told));

        let ends = if generation.get("eos_token_id").is_some() { &generation } else { config };
        let mut end_tokens: BTreeSet<u32> = ids(ends, "eos_token_id")?;
        end_tokens.extend(special.get("eos_token").and_then(|token| tokenizer.id(token)));
        let begins = match told.get("add_bos_token") {
            Some(_) => told.flag_or("add_bos_token", false)?,
            None => told.text("tokenizer_class").is_some_and(|class| BEGINNERS.contains(&class)),
        };
        if begins && tokenizer.leading().is_none() {
            let begin = special.get("bos_token").and_then(|token| Some((token.clone(), tokenizer.id(token)?)));
            begin.into_iter().for_each(|(token, id)| tokenizer.lead_with(&token, id));
        }
        let mut speech = Self {
            chat_template: chat_template(root, &told)?,
            special,
            sampling: sampling(&generation)?,
            ..Self::of(&tokenizer, end_tokens.into_iter().collect(), vocabulary)?
        };
        if speech.end_tokens.is_empty() {
            speech.warnings.push("no token ends a text: generation ends at its limits only".to_owned());
        }
        Ok(speech)
    }

    /// A tokenizer and the tokens that end a text.
    ///
    /// # Errors
    /// A tokenizer that can't be written.
    pub(in crate::import) fn of(
        tokenizer: &TokenizerFile,
        end_tokens: Vec<u32>,
        vocabulary: usize,
    ) -> Result<Self, FolderError> {
        let mut warnings = Vec::new();
        let tokens = tokenizer.len();
        if tokens > vocabulary {
            warnings.push(format!(
                "the tokenizer has ids up to {}, the model embeddings for {vocabulary}: a text with one beyond is refused",
                tokens - 1
            ));
        }
        let begin_token = tokenizer.leading();
        Ok(Self { end_tokens, begin_token, tokenizer: tokenizer.bytes()?, warnings, ..Self::default() })
    }

    /// What the manifest says.
    pub(in crate::import) fn spec(&self, context_tokens: usize, vocabulary: usize) -> GenerateSpec {
        GenerateSpec {
            context_tokens,
            vocabulary,
            end_tokens: self.end_tokens.clone(),
            begin_token: self.begin_token,
            chat_template: self.chat_template.clone(),
            special: self.special.clone(),
            sampling: self.sampling,
            perplexity: None,
        }
    }
}

/// The tokens that settings give a role: a text, or an object with its `content`.
fn special(settings: &Settings) -> BTreeMap<String, String> {
    let token = |(name, value): (&String, &Value)| {
        let text = value.as_str().or_else(|| value.get("content").and_then(Value::as_str))?;
        name.ends_with("_token").then(|| (name.clone(), text.to_owned()))
    };
    settings.fields().filter_map(token).collect()
}

/// One id, or a list of them.
fn ids(settings: &Settings, field: &str) -> Result<BTreeSet<u32>, FolderError> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let found: Option<BTreeSet<u32>> = match settings.get(field) {
        None => Some(BTreeSet::new()),
        Some(Value::Array(several)) => several.iter().map(id).collect(),
        // A model that never ends says -1.
        Some(one) if one.as_i64() == Some(-1) => Some(BTreeSet::new()),
        Some(one) => id(one).map(|id| BTreeSet::from([id])),
    };
    found.ok_or_else(|| settings.refuse(field, "an id of a token, or a list of them"))
}

/// The template of a file of its own, else that of the tokenizer's settings; of several, the one called `default`.
fn chat_template(root: &Path, told: &Settings) -> Result<Option<String>, FolderError> {
    let file = root.join("chat_template.jinja");
    if file.is_file() {
        return fs::read_to_string(&file).map(Some).map_err(|source| FolderError::Unreadable { path: file, source });
    }
    let field = "chat_template";
    let beside = Settings::read_or_empty(&root.join("chat_template.json"))?;
    let settings = if beside.get(field).is_some() { &beside } else { told };
    match settings.get(field) {
        None => Ok(None),
        Some(Value::String(template)) => Ok(Some(template.clone())),
        Some(Value::Array(several)) => {
            let named = |name: &str| several.iter().find(|one| one.get("name").and_then(Value::as_str) == Some(name));
            let chosen = named("default").or_else(|| several.first().filter(|_| several.len() == 1));
            let template = chosen.and_then(|one| one.get("template")).and_then(Value::as_str);
            template
                .map(|template| Some(template.to_owned()))
                .ok_or_else(|| settings.refuse(field, "one called default"))
        }
        Some(_) => Err(settings.refuse(field, "a template, or a list of them by name")),
    }
}

fn sampling(settings: &Settings) -> Result<SamplingDefaults, FolderError> {
    let number = |field: &str| {
        let given = settings.get(field).is_some();
        given.then(|| settings.number_or(field, 0.0).map(|number| number as f32)).transpose()
    };
    let top_k = settings.count_or("top_k", 0)?;
    Ok(SamplingDefaults {
        temperature: number("temperature")?,
        top_k: (top_k > 0).then_some(top_k),
        top_p: number("top_p")?,
        min_p: number("min_p")?,
        repetition_penalty: number("repetition_penalty")?,
    })
}
