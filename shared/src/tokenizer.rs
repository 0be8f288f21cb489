//! The tokenizer: texts to token ids and back, as the `tokenizers` crate defines them, cut to the length a model takes.
//!
//! Normalizers, pre-tokenizers and added tokens are the crate's. What it takes long to load is read here: vocabularies of
//! WordPiece and of byte pair encodings go from JSON to their tables in one pass.

mod bpe;
mod decode;
mod frame;
mod index;
mod load;
mod portion;
mod prompt;
mod table;
mod vocabulary;
mod wordpiece;

use std::borrow::Cow;

use tokenizers::{DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, TokenizerImpl};

pub use decode::{Detokenizer, TokenBytes};
pub use prompt::Prompt;

use frame::Frame;
use portion::Portion;
use vocabulary::Vocabulary;

type Pipeline = TokenizerImpl<Vocabulary, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// Turns texts into token ids. Shared by every thread that tokenizes.
#[derive(Debug)]
pub struct Tokenizer {
    /// Everything up to the tokens of one text; the special tokens around them are `single` and `pair`.
    pipeline: Pipeline,
    single: Frame,
    pair: Frame,
    decoder: Option<decode::Decoder>,
}

/// What becomes one row of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// One text.
    One(String),
    /// Two texts that are judged together.
    Pair(String, String),
    /// The tokens of one text; the special tokens around them may be there already.
    Ids(Vec<u32>),
}

/// How long a row may be, and what happens to a longer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The most tokens, special ones included.
    pub max_tokens: usize,
    /// What happens to a text of more.
    pub overlong: Overlong,
}

/// What happens to a text that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlong {
    /// It is an error.
    Refuse,
    /// Its last tokens are cut off.
    CutEnd,
    /// Its first tokens are cut off.
    CutStart,
}

/// One row: token ids, special ones included, and for each the text of a pair it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The ids, `[tokens]`.
    pub ids: Vec<i64>,
    /// 0 for the first text of a pair and 1 for the second, `[tokens]`.
    pub segments: Vec<i64>,
}

/// Why there is no tokenizer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tokenizer can't be used: {0}")]
pub struct TokenizerError(String);

impl TokenizerError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Why a text has no tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum EncodeError {
    #[error("the text is too long: expected at most {max_tokens} tokens, got {}{tokens}", if *whole { "" } else { "more than " })]
    TooLong {
        max_tokens: usize,
        tokens: usize,
        /// Whether these are all; a text is not tokenized further than to know that it is too long.
        whole: bool,
    },
    #[error("the vocabulary has no token {0}")]
    UnknownId(u32),
    #[error("the text can't be tokenized: {0}")]
    Failed(String),
}

impl Tokenizer {
    /// Reads a `tokenizer.json`. Its settings for truncation and padding have no effect.
    ///
    /// # Errors
    /// JSON that is no tokenizer, or one whose parts contradict each other.
    pub fn from_json(json: &[u8]) -> Result<Self, TokenizerError> {
        load::read(json)
    }

    /// The tokens of a text, with special tokens around them; `prompt` is put before it.
    ///
    /// # Errors
    /// A text that is too long where that is refused, or an id that is no token's.
    pub fn encode(&self, text: &Text, prompt: &str, limit: Limit) -> Result<Tokens, EncodeError> {
        match text {
            Text::One(text) => self.single.fill(&self.tokens(prompt, text, limit)?, &Portion::default(), limit),
            Text::Pair(first, second) => {
                let (first, second) = (self.tokens(prompt, first, limit)?, self.tokens("", second, limit)?);
                self.pair.fill(&first, &second, limit)
            }
            Text::Ids(ids) => {
                if let Some(&id) = ids.iter().find(|id| !self.has(**id)) {
                    return Err(EncodeError::UnknownId(id));
                }
                let mut tokens = self.tokens(prompt, "", limit)?;
                tokens.ids.extend_from_slice(self.single.inner(ids));
                self.single.fill(&tokens, &Portion::default(), limit)
            }
        }
    }

    fn has(&self, id: u32) -> bool {
        self.pipeline.get_added_vocabulary().get_added_tokens_decoder().contains_key(&id)
            || self.pipeline.get_model().has(id)
    }

    /// The tokens of a text alone, as far as the limit may need them.
    fn tokens(&self, prompt: &str, text: &str, limit: Limit) -> Result<Portion, EncodeError> {
        let whole = if prompt.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(format!("{prompt}{text}")) };
        Portion::of(&whole, limit.max_tokens, limit.overlong, |part| {
            if part.is_empty() {
                return Ok(Vec::new());
            }
            let encoding = self.pipeline.encode_fast(part, false);
            Ok(encoding.map_err(|error| EncodeError::Failed(error.to_string()))?.get_ids().to_vec())
        })
    }
}

#[cfg(test)]
mod tests;
