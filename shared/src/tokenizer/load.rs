//! Reading a `tokenizer.json`: the vocabulary on the quick path where there is one, the rest by the crate.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::BPE;
use tokenizers::models::unigram::Unigram;
use tokenizers::{AddedToken, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, TokenizerImpl};

use super::bpe::{self, Bpe};
use super::decode::Decoder;
use super::frame::Frame;
use super::index::Listed;
use super::vocabulary::Vocabulary;
use super::wordpiece::{self, WordPiece};
use super::{Pipeline, Tokenizer, TokenizerError};

/// A `tokenizer.json`.
#[derive(Deserialize)]
struct File {
    model: Read,
    #[serde(default)]
    normalizer: Option<NormalizerWrapper>,
    #[serde(default)]
    pre_tokenizer: Option<PreTokenizerWrapper>,
    #[serde(default)]
    post_processor: Option<PostProcessorWrapper>,
    #[serde(default)]
    decoder: Option<Decoder>,
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
    let file: File = serde_json::from_str(text).map_err(unreadable)?;
    let model = match file.model {
        Read::WordPiece(model) => Vocabulary::WordPiece(model),
        Read::Bpe(model) => Vocabulary::Bpe(model),
        Read::Other(kind) => Vocabulary::Other(read_other(text, kind)?),
    };

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
    Ok(Tokenizer { pipeline, single, pair, decoder: file.decoder })
}

fn unreadable(error: serde_json::Error) -> TokenizerError {
    TokenizerError(error.to_string())
}

/// A model of the crate's, without the tree of JSON values that the crate makes of it first.
fn read_other(text: &str, kind: Option<Kind>) -> Result<ModelWrapper, TokenizerError> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        model: &'a RawValue,
    }
    let model = serde_json::from_str::<Raw<'_>>(text).map_err(unreadable)?.model.get();
    match kind {
        Some(Kind::Bpe) => serde_json::from_str::<BPE>(model).map(ModelWrapper::from),
        Some(Kind::Unigram) => serde_json::from_str::<Unigram>(model).map(ModelWrapper::from),
        _ => serde_json::from_str(model),
    }
    .map_err(unreadable)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Kind {
    #[serde(rename = "BPE")]
    Bpe,
    WordPiece,
    WordLevel,
    Unigram,
}

/// One of our models, or what else the file says it is.
enum Read {
    WordPiece(WordPiece),
    Bpe(Bpe),
    Other(Option<Kind>),
}

/// What a file says of a model. For our models it has to say what it is before its vocabulary.
#[derive(Default)]
struct Fields {
    kind: Option<Kind>,
    vocabulary: Option<Listed>,
    merges: Option<bpe::Spelled>,
    unknown: Option<String>,
    prefix: Option<String>,
    suffix: Option<String>,
    longest_word: Option<usize>,
    dropout: Option<f32>,
    fuse_unknown: Option<bool>,
    byte_fallback: Option<bool>,
    ignore_merges: Option<bool>,
}

impl Fields {
    fn model(self) -> Result<Read, String> {
        let whole = self.dropout.is_none_or(|dropout| dropout == 0.0);
        match (self.kind, self.vocabulary, self.merges, self.unknown, self.prefix, self.longest_word) {
            (Some(Kind::WordPiece), Some(tokens), _, Some(unknown), Some(prefix), Some(longest_word)) => {
                let settings = wordpiece::Settings { unknown, prefix, longest_word };
                Ok(Read::WordPiece(WordPiece::new(tokens, settings)))
            }
            (Some(Kind::Bpe), Some(tokens), Some(merges), unknown, prefix, _) if whole => {
                let settings = bpe::Settings {
                    unknown,
                    fuse_unknown: self.fuse_unknown.unwrap_or(false),
                    byte_fallback: self.byte_fallback.unwrap_or(false),
                    ignore_merges: self.ignore_merges.unwrap_or(false),
                    prefix: prefix.unwrap_or_default(),
                    suffix: self.suffix.unwrap_or_default(),
                };
                Bpe::new(tokens, merges, settings).map(Read::Bpe)
            }
            (kind, ..) => Ok(Read::Other(kind)),
        }
    }
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
                let mut fields = Fields::default();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    match (&*key, fields.kind) {
                        ("type", _) => fields.kind = Some(map.next_value()?),
                        ("vocab", Some(Kind::WordPiece | Kind::Bpe)) => fields.vocabulary = Some(map.next_value()?),
                        ("merges", _) => fields.merges = map.next_value()?,
                        ("unk_token", _) => fields.unknown = map.next_value()?,
                        ("continuing_subword_prefix", _) => fields.prefix = map.next_value()?,
                        ("end_of_word_suffix", _) => fields.suffix = map.next_value()?,
                        ("max_input_chars_per_word", _) => fields.longest_word = map.next_value()?,
                        ("dropout", _) => fields.dropout = map.next_value()?,
                        ("fuse_unk", _) => fields.fuse_unknown = map.next_value()?,
                        ("byte_fallback", _) => fields.byte_fallback = map.next_value()?,
                        ("ignore_merges", _) => fields.ignore_merges = map.next_value()?,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                fields.model().map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_map(Model)
    }
}
