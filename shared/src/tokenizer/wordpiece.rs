//! WordPiece: a word becomes the longest tokens that fit, from its start to its end.
//!
//! The same rule as the crate's model, over tables that load quickly.

use tokenizers::Token;

use super::index::{Index, Listed};
use super::table::{Table, hash};

/// A WordPiece vocabulary.
#[derive(Clone, Debug)]
pub(super) struct WordPiece {
    tokens: Index,
    /// The tokens that go on with a word, by their text without the prefix.
    continuations: Table,
    /// The token of a word that can't be split; a vocabulary may lack it until such a word comes.
    unknown: Option<u32>,
    unknown_text: String,
    /// The length in bytes of what tokens begin with that go on with a word.
    prefix: usize,
    longest_word: usize,
    longest_token: usize,
}

/// A word can't be split, and there is no token for such words.
#[derive(Debug, thiserror::Error)]
#[error("the vocabulary has no token {0:?} for unknown words")]
pub(super) struct NoUnknownToken(String);

/// What a `tokenizer.json` says beside the vocabulary.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The text of the token for words that can't be split.
    pub(super) unknown: String,
    /// What a token begins with that goes on with a word.
    pub(super) prefix: String,
    /// A word of more characters is unknown.
    pub(super) longest_word: usize,
}

impl WordPiece {
    /// Builds the tables.
    pub(super) fn new(tokens: Listed, settings: Settings) -> Self {
        let tokens = Index::new(tokens);
        let texts = || (0..tokens.len()).map(|place| tokens.text(place));
        let continues = |text: &&str| text.starts_with(&settings.prefix);
        let mut continuations = Table::with_room_for(texts().filter(continues).count());
        for (place, text) in texts().enumerate().filter(|(_, text)| continues(text)) {
            continuations.put(hash(&text.as_bytes()[settings.prefix.len()..]), place, |_| false);
        }
        Self {
            continuations,
            unknown: tokens.id(&settings.unknown),
            unknown_text: settings.unknown,
            prefix: settings.prefix.len(),
            longest_word: settings.longest_word,
            longest_token: texts().map(str::len).max().unwrap_or(0),
            tokens,
        }
    }

    /// The tokens without what makes words of them.
    pub(super) fn tokens(&self) -> &Index {
        &self.tokens
    }

    /// The tokens of a word. Their texts are left empty: nobody asks for them.
    pub(super) fn split(&self, word: &str) -> Result<Vec<Token>, NoUnknownToken> {
        if word.chars().count() > self.longest_word {
            return self.unknown(word);
        }
        let mut tokens = Vec::new();
        let mut start = 0;
        while start < word.len() {
            let Some((id, length)) = self.longest(&word[start..], start > 0) else { return self.unknown(word) };
            tokens.push(Token::new(id, String::new(), (start, start + length)));
            start += length;
        }
        Ok(tokens)
    }

    /// The longest token that `text` begins with, and its length in bytes.
    fn longest(&self, text: &str, continues: bool) -> Option<(u32, usize)> {
        let find = |candidate: &str| match continues {
            true => self
                .continuations
                .find(hash(candidate.as_bytes()), |place| &self.tokens.text(place)[self.prefix..] == candidate),
            false => self.tokens.place(candidate),
        };
        let mut end = text.floor_char_boundary(self.longest_token);
        while end > 0 {
            if let Some(place) = find(&text[..end]) {
                return Some((self.tokens.id_at(place), end));
            }
            end = text.floor_char_boundary(end - 1);
        }
        None
    }

    fn unknown(&self, word: &str) -> Result<Vec<Token>, NoUnknownToken> {
        let id = self.unknown.ok_or_else(|| NoUnknownToken(self.unknown_text.clone()))?;
        Ok(vec![Token::new(id, String::new(), (0, word.len()))])
    }
}
