//! The bytes of every token.

use super::{Decoder, Rules, alphabet};

/// The bytes of every token of a vocabulary, by id.
#[derive(Debug, Default)]
pub struct TokenBytes {
    bytes: Vec<u8>,
    /// Where the bytes of a token end; they start where those of the one before end.
    ends: Vec<u32>,
    /// The ids of special tokens, sorted: they have no bytes in a text.
    special: Vec<(u32, String)>,
    leading_spaces: usize,
}

impl TokenBytes {
    /// Works out the bytes of `tokens`, given as text and id. `added` are tokens whose texts stand for themselves, each
    /// with whether it is special.
    pub(in crate::tokenizer) fn new<'a>(
        decoder: Option<&Decoder>,
        tokens: impl Iterator<Item = (&'a str, u32)>,
        added: impl Iterator<Item = (&'a str, u32, bool)>,
    ) -> Result<Self, String> {
        let rules = Rules::new(decoder)?;
        let alphabet = alphabet();
        let mut all: Vec<(u32, Vec<u8>)> = tokens.map(|(text, id)| (id, rules.bytes(text, &alphabet))).collect();
        let mut special = Vec::new();
        for (text, id, is_special) in added {
            all.push((id, if is_special { Vec::new() } else { text.as_bytes().to_vec() }));
            if is_special {
                special.push((id, text.to_owned()));
            }
        }
        // The sort is stable: what an added token says of its id comes last, and counts.
        all.sort_by_key(|(id, _)| *id);
        special.sort();
        let mut table = Self { special, leading_spaces: rules.leading_spaces, ..Self::default() };
        for (place, (id, bytes)) in all.iter().enumerate() {
            if all.get(place + 1).is_some_and(|(next, _)| next == id) {
                continue;
            }
            let end = table.bytes.len() as u32;
            table.ends.resize(*id as usize, end);
            table.bytes.extend_from_slice(bytes);
            table.ends.push(table.bytes.len() as u32);
        }
        Ok(table)
    }

    /// The bytes of a token: none of one that is special or unknown.
    pub fn of(&self, id: u32) -> &[u8] {
        let place = id as usize;
        let end = |place: usize| self.ends.get(place).map_or(self.bytes.len(), |end| *end as usize);
        let start = if place == 0 { 0 } else { end(place - 1) };
        &self.bytes[start..end(place)]
    }

    /// How many ids there are: one more than the greatest.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The text of a special token.
    pub fn special(&self, id: u32) -> Option<&str> {
        let place = self.special.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(&self.special[place].1)
    }

    /// The special tokens, by id.
    pub fn specials(&self) -> impl Iterator<Item = (u32, &str)> {
        self.special.iter().map(|(id, text)| (*id, text.as_str()))
    }

    /// How many spaces are taken away at the start of a text.
    pub(super) fn leading_spaces(&self) -> usize {
        self.leading_spaces
    }
}
