//! The tokenizer of a GGUF file as a `tokenizer.json`, and the tokens with a role.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::error::GgufError;
use super::file::{File, Value};
use super::pieces;
use crate::import::ImportError;
use crate::import::causal::{Speech, TokenizerFile};

const KIND: &str = "tokenizer.ggml.model";
const TOKENS: &str = "tokenizer.ggml.tokens";
const MERGES: &str = "tokenizer.ggml.merges";
const SCORES: &str = "tokenizer.ggml.scores";
const TYPES: &str = "tokenizer.ggml.token_type";
const SPLIT: &str = "tokenizer.ggml.pre";

/// Types of tokens.
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

/// Tokens that end a turn, whatever else the file says.
const ENDS: [&str; 6] = ["<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>"];
/// What the roles of tokens are called here, and in a `tokenizer_config.json`.
const ROLES: [(&str, &str); 4] =
    [("bos", "bos_token"), ("eos", "eos_token"), ("unknown", "unk_token"), ("padding", "pad_token")];

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Reads the tokenizer of a model that has logits for `vocabulary` tokens.
///
/// # Errors
/// A kind of tokenizer that is not supported, or one whose parts do not go together.
pub(super) fn read(file: &File<'_>, vocabulary: usize) -> Result<Speech, ImportError> {
    let source = Source::read(file)?;
    let mut value = match file.text(KIND) {
        Some("llama") => source.pieces()?,
        Some("gpt2") => source.byte_pairs()?,
        _ => return Err(file.refuse(KIND, "llama (SentencePiece) or gpt2 (byte pairs)").into()),
    };
    value["added_tokens"] = source.added();
    let mut tokenizer = TokenizerFile::new(&file.path, value);
    let begin = source.role("bos").filter(|_| source.begins());
    if let Some((id, token)) = begin {
        tokenizer.lead_with(token, id);
    }
    let mut ends: BTreeSet<u32> =
        ["eos", "eot", "eom"].into_iter().filter_map(|role| source.role(role)).map(|(id, _)| id).collect();
    let ends_turn = |(id, token): (usize, &&str)| {
        (ENDS.contains(token) && source.kind(id) == CONTROL).then(|| u32::try_from(id).ok()).flatten()
    };
    ends.extend(source.tokens.iter().enumerate().filter_map(ends_turn));
    let role = |(role, name): (&str, &str)| Some((name.to_owned(), source.role(role)?.1.to_owned()));
    let special: BTreeMap<String, String> = ROLES.into_iter().filter_map(role).collect();
    let speech = Speech::of(&tokenizer, ends.into_iter().collect(), vocabulary)?;
    let chat_template = file.text("tokenizer.chat_template").map(str::to_owned);
    Ok(Speech { special, chat_template, ..speech })
}

/// What a file says of its tokenizer.
struct Source<'a> {
    file: &'a File<'a>,
    tokens: Vec<&'a str>,
    /// By id; empty where the file does not tell.
    types: Vec<u64>,
}

impl<'a> Source<'a> {
    fn read(file: &'a File<'a>) -> Result<Self, GgufError> {
        let tokens: Option<Vec<&str>> = file.list(TOKENS).map(|list| list.iter().filter_map(Value::as_text).collect());
        let tokens = tokens.filter(|tokens| !tokens.is_empty());
        let tokens = tokens.ok_or_else(|| file.broken(format!("it has no {TOKENS}")))?;
        let types: Vec<u64> = file.list(TYPES).unwrap_or_default().iter().filter_map(Value::as_whole).collect();
        if !types.is_empty() && types.len() != tokens.len() {
            return Err(file.broken(format!("{} tokens have {} types", tokens.len(), types.len())));
        }
        Ok(Self { file, tokens, types })
    }

    fn kind(&self, id: usize) -> u64 {
        self.types.get(id).copied().unwrap_or(1)
    }

    /// The token with a role.
    fn role(&self, role: &str) -> Option<(u32, &'a str)> {
        let id = self.file.id(&format!("tokenizer.ggml.{role}_token_id"))?;
        Some((id, self.tokens.get(id as usize)?))
    }

    /// Whether every text begins with a token.
    fn begins(&self) -> bool {
        let usual = self.file.text(KIND) == Some("llama") || self.file.text(SPLIT) == Some("llama-bpe");
        self.file.flag("tokenizer.ggml.add_bos_token").unwrap_or(usual)
    }

    /// The vocabulary by token. Where a token stands twice the first id counts.
    fn vocabulary(&self) -> Json {
        let mut vocabulary = Map::new();
        for (id, token) in self.tokens.iter().enumerate() {
            vocabulary.entry(*token).or_insert(id.into());
        }
        vocabulary.into()
    }

    /// The tokens that are found in a text before it is taken apart.
    fn added(&self) -> Json {
        let added = |(id, token): (usize, &&str)| {
            let special = match self.kind(id) {
                UNKNOWN | CONTROL => true,
                USER_DEFINED => false,
                _ => return None,
            };
            Some(json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                "special": special,
            }))
        };
        self.tokens.iter().enumerate().filter_map(added).collect()
    }

    /// SentencePiece: pieces with scores, which tell what is merged first.
    fn pieces(&self) -> Result<Json, GgufError> {
        let scores: Vec<f64> = self.file.list(SCORES).unwrap_or_default().iter().filter_map(Value::as_number).collect();
        if scores.len() != self.tokens.len() {
            return Err(self.file.broken(format!("{} tokens have {} scores", self.tokens.len(), scores.len())));
        }
        let unknown = self.tokens.iter().enumerate().find(|(id, _)| self.kind(*id) == UNKNOWN).map(|(_, token)| *token);
        let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"});
        let back = json!({"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "});
        let prefix = self.file.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true);
        let mut normalizers = vec![spaces];
        let mut decoders = vec![back, json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
        if prefix {
            normalizers.insert(0, json!({"type": "Prepend", "prepend": "\u{2581}"}));
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        let merges: Vec<[&str; 2]> = pieces::merges(&self.tokens, &scores);
        Ok(json!({
            "version": "1.0",
            "normalizer": {"type": "Sequence", "normalizers": normalizers},
            "pre_tokenizer": null,
            "post_processor": null,
            "decoder": {"type": "Sequence", "decoders": decoders},
            "model": {
                "type": "BPE", "unk_token": unknown, "fuse_unk": true, "byte_fallback": true,
                "vocab": self.vocabulary(), "merges": merges,
            },
        }))
    }

    /// Byte pairs, merged in the order of a list.
    fn byte_pairs(&self) -> Result<Json, GgufError> {
        let list = self.file.list(MERGES).ok_or_else(|| self.file.broken(format!("it has no {MERGES}")))?;
        let merges: Option<Vec<[&str; 2]>> =
            list.iter().map(|merge| merge.as_text()?.split_once(' ').map(|(left, right)| [left, right])).collect();
        let merges = merges.ok_or_else(|| self.file.broken(format!("{MERGES} holds something else than pairs")))?;
        let bytes = |regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex});
        let split = |regex: &str| {
            let split = json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false});
            json!({"type": "Sequence", "pretokenizers": [split, bytes(false)]})
        };
        let mut normalizer = Json::Null;
        let mut whole_words = false;
        let pre_tokenizer = match self.file.text(SPLIT) {
            None | Some("default" | "gpt-2") => bytes(true),
            Some("llama-bpe" | "llama3" | "llama-v3") => {
                whole_words = true;
                split(LLAMA3)
            }
            Some("qwen2" | "deepseek-r1-qwen") => {
                normalizer = json!({"type": "NFC"});
                split(QWEN2)
            }
            Some("smollm") => {
                let digits = json!({"type": "Digits", "individual_digits": true});
                json!({"type": "Sequence", "pretokenizers": [digits, bytes(true)]})
            }
            Some(_) => return Err(self.file.refuse(SPLIT, "default, gpt-2, llama-bpe, qwen2 or smollm")),
        };
        Ok(json!({
            "version": "1.0",
            "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": null,
            "decoder": bytes(true),
            "model": {
                "type": "BPE", "ignore_merges": whole_words, "vocab": self.vocabulary(), "merges": merges,
            },
        }))
    }
}
