//! Prompts: special tokens are recognised where a template put them, and not where a user wrote their texts.

use std::borrow::Cow;

use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::{
    Model as _, NormalizedString, Normalizer as _, OffsetType, PreTokenizedString, PreTokenizer as _,
    PreTokenizerWrapper,
};

use super::portion::Portion;
use super::{EncodeError, Limit, Overlong, TokenBytes, Tokenizer, TokenizerError};

/// A text that a language model goes on from.
#[derive(Clone, Copy, Debug)]
pub struct Prompt<'a> {
    /// The text.
    pub text: &'a str,
    /// Whether special tokens are put around it, as the tokenizer does with a text.
    pub framed: bool,
    /// Stands inside whatever must not be read as a special token, and is no part of the text.
    pub guard: Option<char>,
}

impl Tokenizer {
    /// The tokens of a prompt.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] where there are more than `max_tokens`, or a text that can't be tokenized.
    pub fn prompt(&self, prompt: Prompt<'_>, max_tokens: usize) -> Result<Vec<u32>, EncodeError> {
        let limit = Limit { max_tokens, overlong: Overlong::Refuse };
        let portion = match prompt.guard.filter(|guard| prompt.text.contains(*guard)) {
            Some(guard) => Portion { ids: self.guarded(prompt.text, guard)?, rest: 0 },
            None => self.tokens("", prompt.text, limit)?,
        };
        if prompt.framed {
            let row = self.single.fill(&portion, &Portion::default(), limit)?;
            return Ok(row.ids.into_iter().map(|id| id as u32).collect());
        }
        let tokens = portion.ids.len();
        if tokens > max_tokens || portion.rest > 0 {
            return Err(EncodeError::TooLong { max_tokens, tokens, whole: portion.rest == 0 });
        }
        Ok(portion.ids)
    }

    /// The bytes of every token.
    ///
    /// # Errors
    /// A decoder that is not known here.
    pub fn token_bytes(&self) -> Result<TokenBytes, TokenizerError> {
        let model = self.pipeline.get_model();
        let other = match model.index() {
            Some(_) => Vec::new(),
            None => model.get_vocab().into_iter().collect(),
        };
        let own = model.index().into_iter().flat_map(|index| index.tokens());
        let tokens = own.chain(other.iter().map(|(text, id)| (text.as_str(), *id)));
        let added = self.pipeline.get_added_vocabulary().get_added_tokens_decoder();
        let added = added.iter().map(|(id, token)| (token.content.as_str(), *id, token.special));
        TokenBytes::new(self.decoder.as_ref(), tokens, added).map_err(TokenizerError)
    }

    /// The texts of special tokens.
    pub fn special_texts(&self) -> impl Iterator<Item = &str> {
        let added = self.pipeline.get_added_vocabulary().get_added_tokens_decoder();
        added.values().filter(|token| token.special && !token.content.is_empty()).map(|token| token.content.as_str())
    }

    /// Whether an id is a token's.
    pub fn has_token(&self, id: u32) -> bool {
        self.has(id)
    }

    /// The tokens of a text with guards in it: added tokens are found first, what is between them is tokenized alone.
    fn guarded(&self, text: &str, guard: char) -> Result<Vec<u32>, EncodeError> {
        let mut ids = Vec::new();
        let mut rest = text;
        let mut trim_start = false;
        loop {
            let found = self.first_added(rest);
            let (section, after) =
                found.map_or((rest, ""), |(start, length, _)| (&rest[..start], &rest[start + length..]));
            let added = found.and_then(|(_, _, id)| {
                let tokens = self.pipeline.get_added_vocabulary().get_added_tokens_decoder();
                tokens.get(&id).map(|token| (id, token))
            });
            let section = if trim_start { section.trim_start() } else { section };
            let section = if added.is_some_and(|(_, token)| token.lstrip) { section.trim_end() } else { section };
            let section = section.replace(guard, "");
            if !section.is_empty() {
                ids.extend(self.section(&section, ids.is_empty())?);
            }
            let Some((id, token)) = added else { return Ok(ids) };
            ids.push(id);
            trim_start = token.rstrip;
            rest = after;
        }
    }

    /// Where the first added token of a text starts, its length and its id; of several at one place the longest.
    fn first_added(&self, text: &str) -> Option<(usize, usize, u32)> {
        let tokens = self.pipeline.get_added_vocabulary().get_added_tokens_decoder();
        let found = tokens.iter().filter(|(_, token)| !token.content.is_empty()).filter_map(|(id, token)| {
            let start = text.find(&token.content)?;
            Some((start, token.content.len(), *id))
        });
        found.min_by_key(|(start, length, _)| (*start, usize::MAX - *length))
    }

    /// The tokens of a text that holds no added ones. `first` says whether nothing stands before it.
    fn section(&self, text: &str, first: bool) -> Result<Vec<u32>, EncodeError> {
        let failed = |error: tokenizers::Error| EncodeError::Failed(error.to_string());
        let mut normalized = NormalizedString::from(text);
        if let Some(normalizer) = self.pipeline.get_normalizer() {
            normalizer.normalize(&mut normalized).map_err(failed)?;
        }
        let mut words = PreTokenizedString::from(normalized);
        if let Some(pre_tokenizer) = self.pipeline.get_pre_tokenizer() {
            inner(pre_tokenizer, first).pre_tokenize(&mut words).map_err(failed)?;
        }
        let model = self.pipeline.get_model();
        words.tokenize(|word| model.tokenize(word.get())).map_err(failed)?;
        let encoding = words.into_encoding(None, 0, OffsetType::None).map_err(failed)?;
        Ok(encoding.get_ids().to_vec())
    }
}

/// The pre-tokenizer of what stands in the middle: one that marks the start of a text only must not mark it.
fn inner(pre_tokenizer: &PreTokenizerWrapper, first: bool) -> Cow<'_, PreTokenizerWrapper> {
    match pre_tokenizer {
        PreTokenizerWrapper::Metaspace(metaspace) if !first && metaspace.prepend_scheme == PrependScheme::First => {
            let mut metaspace = metaspace.clone();
            metaspace.prepend_scheme = PrependScheme::Never;
            Cow::Owned(metaspace.into())
        }
        other => Cow::Borrowed(other),
    }
}
