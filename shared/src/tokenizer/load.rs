//! Reading a `tokenizer.json`: the vocabulary on the quick path where there is one, the rest by the crate.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::BPE;
use tokenizers::models::unigram::Unigram;
use tokenizers::{AddedToken, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, TokenizerImpl};

use super::frame::Frame;
use super::vocabulary::Vocabulary;
use super::wordpiece::{Settings, Tokens, WordPiece};
use super::{Pipeline, Tokenizer, TokenizerError};

/// A `tokenizer.json`.
#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    model: &'a RawValue,
    #[serde(default)]
    normalizer: Option<NormalizerWrapper>,
    #[serde(default)]
    pre_tokenizer: Option<PreTokenizerWrapper>,
    #[serde(default)]
    post_processor: Option<PostProcessorWrapper>,
    #[serde(default)]
    added_tokens: Vec<Added>,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    #[serde(flatten)]
    token: AddedToken,
}

pub(super) fn read(json: &[u8]) -> Result<Tokenizer, TokenizerError> {
    let text = std::str::from_utf8(json).map_err(|error| TokenizerError(error.to_string()))?;
    let file: File<'_> = serde_json::from_str(text).map_err(unreadable)?;
    let model = read_model(file.model)?;

    let (single, pair) =
        (Frame::new(file.post_processor.as_ref(), false)?, Frame::new(file.post_processor.as_ref(), true)?);
    let mut pipeline: Pipeline = TokenizerImpl::new(model);
    let failed = |error: tokenizers::Error| TokenizerError(error.to_string());
    pipeline.with_normalizer(file.normalizer).map_err(failed)?;
    pipeline.with_pre_tokenizer(file.pre_tokenizer);
    pipeline.add_tokens(file.added_tokens.iter().map(|added| added.token.clone())).map_err(failed)?;
    for Added { id, token } in &file.added_tokens {
        let got = pipeline.token_to_id(&token.content);
        if got != Some(*id) {
            let got = got.map_or("none".to_owned(), |id| id.to_string());
            return Err(TokenizerError(format!(
                "its added token {:?} should have the id {id}, got {got}",
                token.content
            )));
        }
    }
    Ok(Tokenizer { pipeline, single, pair })
}

fn unreadable(error: serde_json::Error) -> TokenizerError {
    TokenizerError(error.to_string())
}

/// The model, without the tree of JSON values that the crate makes of it first.
fn read_model(json: &RawValue) -> Result<Vocabulary, TokenizerError> {
    let text = json.get();
    let other = |model: ModelWrapper| Vocabulary::Other(model);
    match serde_json::from_str(text).map_err(unreadable)? {
        Read::WordPiece(model) => Ok(Vocabulary::WordPiece(model)),
        Read::Other(Some(Kind::Bpe)) => {
            serde_json::from_str::<BPE>(text).map(|model| other(model.into())).map_err(unreadable)
        }
        Read::Other(Some(Kind::Unigram)) => {
            serde_json::from_str::<Unigram>(text).map(|model| other(model.into())).map_err(unreadable)
        }
        Read::Other(_) => serde_json::from_str(text).map(other).map_err(unreadable),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Kind {
    #[serde(rename = "BPE")]
    Bpe,
    WordPiece,
    WordLevel,
    Unigram,
}

/// A WordPiece model, or what else the file says it is.
enum Read {
    WordPiece(WordPiece),
    Other(Option<Kind>),
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Model;

        impl<'de> Visitor<'de> for Model {
            type Value = Read;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a tokenizer's model")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
                let (mut kind, mut vocabulary, mut unknown, mut prefix, mut longest_word) =
                    (None, None, None, None, None);
                while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                    match (&*key, kind) {
                        ("type", _) => kind = Some(map.next_value()?),
                        ("vocab", Some(Kind::WordPiece)) => vocabulary = Some(map.next_value::<Tokens>()?),
                        ("unk_token", _) => unknown = map.next_value::<Option<String>>()?,
                        ("continuing_subword_prefix", _) => prefix = map.next_value::<Option<String>>()?,
                        ("max_input_chars_per_word", _) => longest_word = map.next_value::<Option<usize>>()?,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                match (vocabulary, unknown, prefix, longest_word) {
                    (Some(tokens), Some(unknown), Some(prefix), Some(longest_word)) => {
                        let settings = Settings { unknown, prefix, longest_word };
                        Ok(Read::WordPiece(WordPiece::new(tokens, settings)))
                    }
                    _ => Ok(Read::Other(kind)),
                }
            }
        }

        deserializer.deserialize_map(Model)
    }
}
