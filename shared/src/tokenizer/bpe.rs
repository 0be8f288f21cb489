//! Byte pair encoding: a word's characters are merged two by two, the pair that stands first in the list of merges
//! first.
//!
//! The same rule as the crate's model, over tables that load quickly. What stands for a byte in a character is the
//! pre-tokenizer's.

mod merges;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tokenizers::Token;

pub(super) use merges::Spelled;
use merges::{Merge, Merges};

use super::index::{Index, Listed};

/// Characters below this one are found without their texts: those that stand for bytes are among them.
const QUICK: usize = 0x180;
/// A longer word keeps its pairs in a heap.
const SHORT: usize = 48;

/// A vocabulary and its merges.
#[derive(Clone, Debug)]
pub(super) struct Bpe {
    tokens: Index,
    merges: Merges,
    settings: Settings,
    /// The tokens of single characters.
    characters: Vec<Option<u32>>,
    /// The tokens that stand for the bytes of unknown characters, if there is one for each.
    bytes: Vec<Option<u32>>,
    unknown: Option<u32>,
}

/// What a `tokenizer.json` says beside the vocabulary and the merges.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// The text of the token for unknown characters; without it they are left out.
    pub(super) unknown: Option<String>,
    /// Whether unknown characters that follow each other are one token.
    pub(super) fuse_unknown: bool,
    /// Whether an unknown character becomes a token for each of its bytes.
    pub(super) byte_fallback: bool,
    /// Whether a word that is a token is not put together from characters.
    pub(super) ignore_merges: bool,
    /// What a character's token begins with, but for the first of a word.
    pub(super) prefix: String,
    /// What the token of a word's last character ends with.
    pub(super) suffix: String,
}

/// There is an unknown character, and no token for such.
#[derive(Debug, thiserror::Error)]
#[error("the vocabulary has no token {0:?} for unknown characters")]
pub(super) struct NoUnknownToken(String);

/// A token of a word, and how many of its bytes it is for.
#[derive(Clone, Copy, Debug)]
struct Symbol {
    id: u32,
    length: usize,
}

impl Bpe {
    /// A model of these merges.
    ///
    /// # Errors
    /// A merge of what is no token.
    pub(super) fn new(tokens: Listed, merges: Spelled, settings: Settings) -> Result<Self, String> {
        let tokens = Index::new(tokens);
        let merges = merges.resolve(&tokens, &settings.prefix)?;
        let mut text = [0; 4];
        let quick = (0..QUICK as u32).map(|c| tokens.id(char::from_u32(c)?.encode_utf8(&mut text))).collect();
        let byte = |byte: u8| tokens.id(&format!("<0x{byte:02X}>"));
        Ok(Self {
            characters: if settings.prefix.is_empty() && settings.suffix.is_empty() { quick } else { Vec::new() },
            bytes: if settings.byte_fallback { (0..=255).map(byte).collect() } else { Vec::new() },
            unknown: settings.unknown.as_deref().and_then(|unknown| tokens.id(unknown)),
            tokens,
            merges,
            settings,
        })
    }

    /// The tokens without what makes words of them.
    pub(super) fn tokens(&self) -> &Index {
        &self.tokens
    }

    /// The tokens of a word. Their texts are left empty: nobody asks for them.
    pub(super) fn split(&self, word: &str) -> Result<Vec<Token>, NoUnknownToken> {
        if self.settings.ignore_merges
            && let Some(id) = self.tokens.id(word)
        {
            return Ok(vec![Token::new(id, String::new(), (0, word.len()))]);
        }
        let mut symbols = self.symbols(word)?;
        if symbols.len() > SHORT {
            self.merge_many(&mut symbols);
        } else {
            self.merge(&mut symbols);
        }
        let mut start = 0;
        let token = |Symbol { id, length }| {
            let offsets = (start, start + length);
            start += length;
            Token::new(id, String::new(), offsets)
        };
        Ok(symbols.into_iter().map(token).collect())
    }

    /// The tokens of a word's characters.
    fn symbols(&self, word: &str) -> Result<Vec<Symbol>, NoUnknownToken> {
        let mut symbols = Vec::with_capacity(word.len());
        let mut unknown: Option<Symbol> = None;
        for (start, c) in word.char_indices() {
            let length = c.len_utf8();
            if let Some(id) = self.character(word, start, c) {
                symbols.extend(unknown.take());
                symbols.push(Symbol { id, length });
                continue;
            }
            if let Some(bytes) = self.bytes(word, start, c) {
                symbols.extend(bytes.into_iter().map(|id| Symbol { id, length: 1 }));
                continue;
            }
            let Some(text) = &self.settings.unknown else { continue };
            let id = self.unknown.ok_or_else(|| NoUnknownToken(text.clone()))?;
            match &mut unknown {
                Some(unknown) if self.settings.fuse_unknown => unknown.length += length,
                _ => symbols.extend(unknown.replace(Symbol { id, length })),
            }
        }
        symbols.extend(unknown);
        Ok(symbols)
    }

    /// The token of the character `c` that stands at `start` of a word.
    fn character(&self, word: &str, start: usize, c: char) -> Option<u32> {
        match self.characters.get(c as usize) {
            Some(id) => *id,
            None => self.tokens.id(&self.decorated(word, start, c)),
        }
    }

    /// The tokens of the bytes of an unknown character, if each of them has one.
    fn bytes(&self, word: &str, start: usize, c: char) -> Option<Vec<u32>> {
        if self.bytes.is_empty() {
            return None;
        }
        self.decorated(word, start, c).bytes().map(|byte| self.bytes[usize::from(byte)]).collect()
    }

    /// A character as the vocabulary spells it at its place in a word.
    fn decorated<'a>(&self, word: &'a str, start: usize, c: char) -> Cow<'a, str> {
        let end = start + c.len_utf8();
        let prefix = if start > 0 { &*self.settings.prefix } else { "" };
        let suffix = if end == word.len() { &*self.settings.suffix } else { "" };
        match (prefix, suffix) {
            ("", "") => Cow::Borrowed(&word[start..end]),
            _ => Cow::Owned(format!("{prefix}{c}{suffix}")),
        }
    }

    fn merge_of(&self, left: Symbol, right: Symbol) -> Option<Merge> {
        self.merges.find(left.id, right.id)
    }

    /// Merges the pairs of a short word: each time all of them are looked through.
    fn merge(&self, symbols: &mut Vec<Symbol>) {
        let mut pairs: Vec<Option<Merge>> = symbols.windows(2).map(|pair| self.merge_of(pair[0], pair[1])).collect();
        loop {
            let known = pairs.iter().enumerate().filter_map(|(place, merge)| Some((place, (*merge)?)));
            let Some((place, merge)) = known.min_by_key(|(_, merge)| merge.rank) else { return };
            let right = symbols.remove(place + 1);
            symbols[place] = Symbol { id: merge.id, length: symbols[place].length + right.length };
            pairs.remove(place);
            if place > 0 {
                pairs[place - 1] = self.merge_of(symbols[place - 1], symbols[place]);
            }
            if place < pairs.len() {
                pairs[place] = self.merge_of(symbols[place], symbols[place + 1]);
            }
        }
    }

    /// Merges the pairs of a long word, which wait in a heap; one whose symbols are others by now is passed over.
    fn merge_many(&self, symbols: &mut Vec<Symbol>) {
        let count = symbols.len();
        let mut before: Vec<usize> = (0..count).map(|place| place.wrapping_sub(1)).collect();
        let mut after: Vec<usize> = (1..=count).collect();
        let mut gone = vec![false; count];
        let pair = |symbols: &[Symbol], left: usize, right: usize| {
            let merge = self.merge_of(*symbols.get(left)?, *symbols.get(right)?)?;
            Some(Reverse((merge.rank, left, merge.id)))
        };
        let mut waiting: BinaryHeap<_> = (1..count).filter_map(|right| pair(symbols, right - 1, right)).collect();
        while let Some(Reverse((rank, left, id))) = waiting.pop() {
            let right = after[left];
            if gone[left] || pair(symbols, left, right) != Some(Reverse((rank, left, id))) {
                continue;
            }
            symbols[left] = Symbol { id, length: symbols[left].length + symbols[right].length };
            gone[right] = true;
            after[left] = after[right];
            if let Some(next) = before.get_mut(after[left]) {
                *next = left;
            }
            waiting.extend(pair(symbols, before[left], left));
            waiting.extend(pair(symbols, left, after[left]));
        }
        let mut gone = gone.into_iter();
        symbols.retain(|_| gone.next() == Some(false));
    }
}
