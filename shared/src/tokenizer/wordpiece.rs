//! WordPiece: a word becomes the longest tokens that fit, from its start to its end.
//!
//! The same rule as the crate's model, over a table that is filled straight from JSON: the texts of all tokens lie in
//! one string, and no lookup allocates.

mod table;

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use tokenizers::Token;

use table::{Table, hash};

/// A WordPiece vocabulary.
#[derive(Clone, Debug)]
pub(super) struct WordPiece {
    /// Every token by its text.
    starts: Table,
    /// The tokens that go on with a word, by their text without the prefix.
    continuations: Table,
    texts: String,
    tokens: Vec<Entry>,
    /// The token of a word that can't be split; a vocabulary may lack it until such a word comes.
    unknown: Option<u32>,
    unknown_text: String,
    /// The length in bytes of what tokens begin with that go on with a word.
    prefix: usize,
    longest_word: usize,
    longest_token: usize,
    greatest_id: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    end: u32,
    id: u32,
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

/// The tokens of a vocabulary as they are read.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    texts: String,
    tokens: Vec<Entry>,
}

impl WordPiece {
    /// Builds the tables; of two tokens with the same text the last one counts.
    pub(super) fn new(Tokens { texts, tokens }: Tokens, settings: Settings) -> Self {
        let text = |entry: &Entry| &texts[entry.start as usize..entry.end as usize];
        let mut kept: Vec<Entry> = Vec::with_capacity(tokens.len());
        let mut starts = Table::with_room_for(tokens.len());
        for entry in tokens {
            let hash = hash(text(&entry).as_bytes());
            match starts.find(hash, |index| text(&kept[index]) == text(&entry)) {
                Some(index) => kept[index] = entry,
                None => {
                    starts.insert(hash, kept.len());
                    kept.push(entry);
                }
            }
        }
        let continues = |entry: &Entry| text(entry).strip_prefix(&settings.prefix);
        let mut continuations = Table::with_room_for(kept.iter().filter_map(continues).count());
        for (index, entry) in kept.iter().enumerate() {
            if let Some(rest) = continues(entry) {
                continuations.insert(hash(rest.as_bytes()), index);
            }
        }
        let greatest_id = kept.iter().map(|entry| entry.id).max();
        let longest_token = kept.iter().map(|entry| text(entry).len()).max().unwrap_or(0);
        let mut model = Self {
            starts,
            continuations,
            texts,
            tokens: kept,
            unknown: None,
            unknown_text: settings.unknown,
            prefix: settings.prefix.len(),
            longest_word: settings.longest_word,
            longest_token,
            greatest_id,
        };
        model.unknown = model.id(&model.unknown_text);
        model
    }

    /// The id of a token.
    pub(super) fn id(&self, token: &str) -> Option<u32> {
        let found = self.starts.find(hash(token.as_bytes()), |index| self.text(index) == token);
        found.map(|index| self.tokens[index].id)
    }

    /// Whether an id is a token's. Vocabularies have no holes that would be worth a table.
    pub(super) fn has(&self, id: u32) -> bool {
        self.greatest_id.is_some_and(|greatest| id <= greatest)
    }

    /// Every token with its id.
    pub(super) fn tokens(&self) -> impl ExactSizeIterator<Item = (&str, u32)> {
        self.tokens.iter().enumerate().map(|(index, entry)| (self.text(index), entry.id))
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
        let (table, prefix) = if continues { (&self.continuations, self.prefix) } else { (&self.starts, 0) };
        let mut end = text.floor_char_boundary(self.longest_token);
        while end > 0 {
            let candidate = &text[..end];
            if let Some(index) =
                table.find(hash(candidate.as_bytes()), |index| &self.text(index)[prefix..] == candidate)
            {
                return Some((self.tokens[index].id, end));
            }
            end = text.floor_char_boundary(end - 1);
        }
        None
    }

    fn unknown(&self, word: &str) -> Result<Vec<Token>, NoUnknownToken> {
        let id = self.unknown.ok_or_else(|| NoUnknownToken(self.unknown_text.clone()))?;
        Ok(vec![Token::new(id, String::new(), (0, word.len()))])
    }

    fn text(&self, index: usize) -> &str {
        let entry = self.tokens[index];
        &self.texts[entry.start as usize..entry.end as usize]
    }
}

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Vocabulary;

        impl<'de> Visitor<'de> for Vocabulary {
            type Value = Tokens;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tokens and their ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tokens, A::Error> {
                let mut tokens = Tokens::default();
                while let Some(start) = map.next_key_seed(Append(&mut tokens.texts))? {
                    let offset = |position| u32::try_from(position).map_err(|_| A::Error::custom("it is too large"));
                    let (start, end) = (offset(start)?, offset(tokens.texts.len())?);
                    tokens.tokens.push(Entry { start, end, id: map.next_value()? });
                }
                Ok(tokens)
            }
        }

        deserializer.deserialize_map(Vocabulary)
    }
}

/// Adds a text to the others and tells where it starts.
struct Append<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Append<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Append<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }

    fn visit_str<E>(self, text: &str) -> Result<usize, E> {
        let start = self.0.len();
        self.0.push_str(text);
        Ok(start)
    }
}
