//! A `tokenizer.json` as far as a language model's special tokens need it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::import::FolderError;

/// A tokenizer, as JSON.
#[derive(Clone, Debug)]
pub(in crate::import) struct TokenizerFile {
    path: PathBuf,
    value: Value,
}

impl TokenizerFile {
    /// Reads the file of a folder.
    ///
    /// # Errors
    /// No such file, or one that describes no tokenizer.
    pub(in crate::import) fn read(folder: &Path) -> Result<Self, FolderError> {
        let path = folder.join("tokenizer.json");
        if !path.is_file() {
            return Err(FolderError::Missing {
                folder: folder.to_owned(),
                file: "tokenizer.json".to_owned(),
                remedy: "load the tokenizer with transformers (AutoTokenizer makes a fast one) and save it with \
                         save_pretrained(FOLDER)",
            });
        }
        let bytes = fs::read(&path).map_err(|source| FolderError::Unreadable { path: path.clone(), source })?;
        let value: Result<Value, _> = serde_json::from_slice(&bytes);
        let broken = |reason: String| FolderError::Broken { path: path.clone(), reason };
        let value = value.map_err(|error| broken(error.to_string()))?;
        if value.get("model").is_none() {
            return Err(broken("it describes no tokenizer: expected a `model`".to_owned()));
        }
        Ok(Self { path, value })
    }

    /// A tokenizer that was made of another file.
    pub(in crate::import) fn new(path: &Path, value: Value) -> Self {
        Self { path: path.to_owned(), value }
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// JSON that can't be written.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, FolderError> {
        serde_json::to_vec(&self.value)
            .map_err(|error| FolderError::Broken { path: self.path.clone(), reason: error.to_string() })
    }

    /// The id of a token by its text.
    pub(super) fn id(&self, token: &str) -> Option<u32> {
        let added = self.added().find(|added| added.get("content").and_then(Value::as_str) == Some(token));
        let listed = || match self.value.get("model")?.get("vocab")? {
            Value::Object(vocabulary) => vocabulary.get(token)?.as_u64(),
            Value::Array(pieces) => {
                let place = pieces.iter().position(|piece| piece.get(0).and_then(Value::as_str) == Some(token));
                place.map(|place| place as u64)
            }
            _ => None,
        };
        let id = added.and_then(|added| added.get("id")).and_then(Value::as_u64).or_else(listed)?;
        u32::try_from(id).ok()
    }

    /// How many ids there are, up to the greatest.
    pub(super) fn len(&self) -> usize {
        let added = self.added().filter_map(|added| added.get("id")).filter_map(Value::as_u64);
        let greatest = match self.value.get("model").and_then(|model| model.get("vocab")) {
            Some(Value::Object(vocabulary)) => added.chain(vocabulary.values().filter_map(Value::as_u64)).max(),
            Some(Value::Array(pieces)) => added.chain((pieces.len() as u64).checked_sub(1)).max(),
            _ => added.max(),
        };
        greatest.map_or(0, |greatest| greatest as usize + 1)
    }

    fn added(&self) -> impl Iterator<Item = &Value> {
        self.value.get("added_tokens").and_then(Value::as_array).into_iter().flatten()
    }

    /// The token that the tokenizer puts before every text.
    pub(super) fn leading(&self) -> Option<u32> {
        leading(self.value.get("post_processor")?)
    }

    /// Has the tokenizer put a token before every text, after what else it does.
    pub(in crate::import) fn lead_with(&mut self, token: &str, id: u32) {
        let special = |kind: u8| json!({"SpecialToken": {"id": token, "type_id": kind}});
        let sequence = |name: &str, kind: u8| json!({"Sequence": {"id": name, "type_id": kind}});
        let template = json!({
            "type": "TemplateProcessing",
            "single": [special(0), sequence("A", 0)],
            "pair": [special(0), sequence("A", 0), special(1), sequence("B", 1)],
            "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}},
        });
        let before = self.value.get("post_processor").cloned().unwrap_or_default();
        self.value["post_processor"] = match before {
            Value::Null => template,
            before => json!({"type": "Sequence", "processors": [before, template]}),
        };
    }
}

/// The token that a post-processor puts first.
fn leading(processor: &Value) -> Option<u32> {
    match processor.get("type").and_then(Value::as_str)? {
        "TemplateProcessing" => {
            let name = processor.get("single")?.get(0)?.get("SpecialToken")?.get("id")?.as_str()?;
            let id = processor.get("special_tokens")?.get(name)?.get("ids")?.get(0)?.as_u64()?;
            u32::try_from(id).ok()
        }
        "Sequence" => processor.get("processors")?.as_array()?.iter().find_map(leading),
        "BertProcessing" | "RobertaProcessing" => {
            processor.get("cls")?.get(1)?.as_u64().and_then(|id| u32::try_from(id).ok())
        }
        _ => None,
    }
}
