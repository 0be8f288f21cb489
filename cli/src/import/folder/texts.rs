//! How a folder turns texts into ids: its tokenizer, how many tokens a text may have, its prompts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use emberlite::model::TextSpec;
use serde_json::{Value, json};

use super::error::FolderError;
use super::settings::Settings;

/// The tokenizer that the crate `tokenizers` reads.
pub(super) const TOKENIZER: &str = "tokenizer.json";
/// A tokenizer that knows no limit says that it takes this many tokens.
const NO_LIMIT: f64 = 1e9;
/// The limit of a model about which nothing is known.
const USUAL_LIMIT: usize = 512;

/// What a folder says about texts.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    /// The bytes of the tokenizer.
    pub(super) tokenizer: Vec<u8>,
    max_tokens: Option<usize>,
    padding_id: Option<i64>,
    prompts: BTreeMap<String, String>,
    default_prompt: Option<String>,
    /// What the user should know.
    pub(super) warning: Option<String>,
}

impl Texts {
    /// Reads the folder `root`, whose encoder is in `transformer`.
    ///
    /// # Errors
    /// No fast tokenizer, or settings that are not known.
    pub(super) fn read(root: &Path, transformer: &Path) -> Result<Self, FolderError> {
        let found = [transformer, root].map(|folder| folder.join(TOKENIZER)).into_iter().find(|path| path.is_file());
        let path = found.ok_or_else(|| FolderError::Missing {
            folder: root.to_owned(),
            file: TOKENIZER.to_owned(),
            remedy: "load the tokenizer with transformers (AutoTokenizer makes a fast one) and save it with \
                     save_pretrained(FOLDER)",
        })?;
        let told = Settings::read_or_empty(&path.with_file_name("tokenizer_config.json"))?;
        let sentence = Settings::read_or_empty(&transformer.join("sentence_bert_config.json"))?;
        let limit =
            told.get("model_max_length").and_then(Value::as_f64).filter(|limit| (1.0..NO_LIMIT).contains(limit));
        let max_tokens = match sentence.get("max_seq_length") {
            Some(_) => Some(sentence.size("max_seq_length")?),
            None => limit.map(|limit| limit as usize),
        };
        let tokenizer = tokenizer(path, sentence.flag_or("do_lower_case", false)?)?;
        let padding_id = padding_id(&tokenizer, &told);
        let (prompts, default_prompt) = prompts(root)?;
        let warning = contradiction(&tokenizer, &told);
        Ok(Self { tokenizer: tokenizer.bytes, max_tokens, padding_id, prompts, default_prompt, warning })
    }

    /// What the manifest says, for a model that takes at most `capacity` tokens.
    pub(super) fn spec(self, capacity: Option<usize>, padding_id: Option<i64>) -> (TextSpec, Vec<u8>) {
        let limits = [self.max_tokens, capacity].into_iter().flatten();
        let spec = TextSpec {
            max_tokens: limits.min().unwrap_or(USUAL_LIMIT),
            ids: "input_ids".to_owned(),
            mask: None,
            segments: None,
            positions: None,
            padding_id: padding_id.or(self.padding_id).unwrap_or(0),
            pooling: None,
            normalize: false,
            prompts: self.prompts,
            default_prompt: self.default_prompt,
            problem: None,
        };
        (spec, self.tokenizer)
    }
}

struct Tokenizer {
    bytes: Vec<u8>,
    value: Value,
}

/// Reads the tokenizer; `lower` puts texts in lower case first, as sentence-transformers does.
fn tokenizer(path: PathBuf, lower: bool) -> Result<Tokenizer, FolderError> {
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(FolderError::Unreadable { path, source }),
    };
    let broken = |reason: String| FolderError::Broken { path: path.clone(), reason };
    let mut value: Value = serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
    if value.get("model").is_none() {
        return Err(broken("it describes no tokenizer: expected a `model`".to_owned()));
    }
    let lowers = value.get("normalizer").is_some_and(makes_lower_case);
    if !lower || lowers {
        return Ok(Tokenizer { bytes, value });
    }
    let mut steps = vec![json!({"type": "Lowercase"})];
    match value["normalizer"].take() {
        Value::Null => {}
        Value::Object(mut sequence) if sequence.get("type") == Some(&json!("Sequence")) => {
            steps.extend(
                sequence.get_mut("normalizers").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default(),
            );
        }
        other => steps.push(other),
    }
    value["normalizer"] = json!({"type": "Sequence", "normalizers": steps});
    let bytes = serde_json::to_vec(&value).map_err(|error| broken(error.to_string()))?;
    Ok(Tokenizer { bytes, value })
}

fn makes_lower_case(normalizer: &Value) -> bool {
    let within = normalizer.get("normalizers").and_then(Value::as_array);
    normalizer.get("type") == Some(&json!("Lowercase"))
        || normalizer.get("lowercase") == Some(&json!(true))
        || within.is_some_and(|steps| steps.iter().any(makes_lower_case))
}

/// Versions of transformers differ on which file holds where BERT's tokenizers contradict their settings.
fn contradiction(tokenizer: &Tokenizer, settings: &Settings) -> Option<String> {
    let normalizer = tokenizer.value.get("normalizer").filter(|normalizer| normalizer["type"] == "BertNormalizer")?;
    let (told, lowers) = (settings.get("do_lower_case")?.as_bool()?, makes_lower_case(normalizer));
    (told != lowers).then(|| {
        let path = settings.path().display();
        format!("`{path}` says do_lower_case = {told}, {TOKENIZER} the contrary: {TOKENIZER} holds")
    })
}

/// The id of the token that pads, as tokenizer and settings name it.
fn padding_id(tokenizer: &Tokenizer, settings: &Settings) -> Option<i64> {
    let named = settings.get("pad_token")?;
    let token = named.as_str().or_else(|| named.get("content").and_then(Value::as_str))?;
    let added = tokenizer.value.get("added_tokens").and_then(Value::as_array)?;
    let found = added.iter().find(|added| added.get("content").and_then(Value::as_str) == Some(token));
    found.and_then(|added| added.get("id")).and_then(Value::as_i64)
}

type Prompts = (BTreeMap<String, String>, Option<String>);

fn prompts(root: &Path) -> Result<Prompts, FolderError> {
    let settings = Settings::read_or_empty(&root.join(super::SENTENCE_CONFIG))?;
    let mut prompts = BTreeMap::new();
    for (name, text) in settings.get("prompts").and_then(Value::as_object).into_iter().flatten() {
        let text = text.as_str().ok_or_else(|| settings.refuse("prompts", "a text for each name"))?;
        prompts.insert(name.clone(), text.to_owned());
    }
    let default = settings.text("default_prompt_name").map(str::to_owned);
    match default {
        Some(name) if !prompts.contains_key(&name) => Err(settings.refuse("default_prompt_name", "one of the prompts")),
        default => Ok((prompts, default)),
    }
}
