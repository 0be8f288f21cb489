//! `--vocab-from`: the tokens that a corpus needs, and a model without the others.
//!
//! Lossless for every text whose tokens, with the whole vocabulary, are all kept: it gets the same tokens, and so the
//! same outputs. That is why each kind of vocabulary keeps more than the tokens that are seen: WordPiece prefers the
//! longest token, so nothing else is needed; BPE needs the merges a token is made by, and what they pass through;
//! Unigram prices an unknown character by the least likely token, which therefore stays.

mod graph;
mod merges;
mod tokenizer;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use emberlite::tokenizer::{Limit, Overlong, Text, Tokenizer};

pub use graph::{counted_ids, rows, slice};
use tokenizer::TokenizerFile;

/// No text of a corpus is cut.
const WHOLE: Limit = Limit { max_tokens: 1 << 30, overlong: Overlong::CutEnd };

/// A vocabulary that was trimmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// The bytes of the new `tokenizer.json`.
    pub tokenizer: Vec<u8>,
    /// The old ids of the tokens that are left, in ascending order: a token's place is its new id.
    pub kept: Vec<i64>,
    /// How many tokens there were.
    pub of: usize,
}

impl Trimmed {
    /// The new id of a token, if it is left.
    pub fn id(&self, old: i64) -> Option<i64> {
        self.kept.binary_search(&old).ok().and_then(|place| i64::try_from(place).ok())
    }

    /// The new ids of a row, if all its tokens are left.
    pub fn ids(&self, old: &[i64]) -> Option<Vec<i64>> {
        old.iter().map(|id| self.id(*id)).collect()
    }
}

/// What must be kept, whatever the texts say.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Put before texts: a text is tokenized behind each of them too.
    pub prompts: Vec<String>,
    /// Ids that stay.
    pub ids: BTreeSet<i64>,
}

/// Trims a tokenizer to what `texts` need: their tokens, special and added tokens, and all single characters and bytes.
///
/// # Errors
/// A tokenizer of a kind that can't be trimmed, or a text that would get other tokens.
pub fn trim(json: &[u8], texts: &[String], needs: &Needs) -> Result<Trimmed> {
    let whole = Tokenizer::from_json(json)?;
    let mut file = TokenizerFile::read(json)?;
    let mut kept = needs.ids.clone();
    kept.extend(file.required()?);
    let rows = rows_of(&whole, texts, &needs.prompts)?;
    kept.extend(rows.iter().flatten());
    file.close(&mut kept)?;

    let of = file.tokens();
    let kept: Vec<i64> = kept.into_iter().collect();
    file.retain(&kept)?;
    let trimmed = Trimmed { tokenizer: file.to_json()?, kept, of };
    check(&trimmed, texts, &needs.prompts, &rows)?;
    Ok(trimmed)
}

/// The same tokenizer without what no one reads here: white space, and its own settings for truncation and padding.
///
/// # Errors
/// Bytes that are no tokenizer.
pub fn minified(json: &[u8]) -> Result<Vec<u8>> {
    TokenizerFile::read(json)?.to_json()
}

/// The tokens of every text, alone and behind each prompt.
fn rows_of(tokenizer: &Tokenizer, texts: &[String], prompts: &[String]) -> Result<Vec<Vec<i64>>> {
    let mut rows = Vec::new();
    for text in texts {
        for prompt in prompts.iter().map(String::as_str).chain([""]) {
            rows.push(tokenizer.encode(&Text::One(text.clone()), prompt, WHOLE)?.ids);
        }
    }
    Ok(rows)
}

fn check(trimmed: &Trimmed, texts: &[String], prompts: &[String], rows: &[Vec<i64>]) -> Result<()> {
    let tokenizer = Tokenizer::from_json(&trimmed.tokenizer).context("trimming the vocabulary broke the tokenizer")?;
    let again = rows_of(&tokenizer, texts, prompts)?;
    for (index, (before, after)) in rows.iter().zip(&again).enumerate() {
        let text = texts.get(index / (prompts.len() + 1)).map_or("", String::as_str);
        ensure!(
            trimmed.ids(before).as_ref() == Some(after),
            "this tokenizer can't be trimmed: the text {text:?} would get other tokens"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
