//! The tokens of a vocabulary by their texts. A vocabulary is filled straight from JSON: the texts of all tokens lie in
//! one string, and no lookup allocates.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};

use super::table::{MOST, Table, hash};

/// The tokens of a vocabulary as they are read.
#[derive(Debug, Default)]
pub(super) struct Listed {
    texts: String,
    tokens: Vec<Entry>,
}

/// A token for every text that is one.
#[derive(Clone, Debug)]
pub(super) struct Index {
    table: Table,
    texts: String,
    tokens: Vec<Entry>,
    greatest_id: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    end: u32,
    id: u32,
}

impl Index {
    /// Builds the table; of two tokens with the same text the last one counts.
    pub(super) fn new(Listed { texts, mut tokens }: Listed) -> Self {
        let text = |entry: Entry| &texts.as_bytes()[entry.start as usize..entry.end as usize];
        let mut table = Table::with_room_for(tokens.len());
        let mut kept = 0;
        for next in 0..tokens.len() {
            let entry = tokens[next];
            let hash = hash(text(entry));
            match table.find(hash, |place| text(tokens[place]) == text(entry)) {
                Some(place) => tokens[place] = entry,
                None => {
                    table.put(hash, kept, |_| false);
                    tokens[kept] = entry;
                    kept += 1;
                }
            }
        }
        tokens.truncate(kept);
        let greatest_id = tokens.iter().map(|entry| entry.id).max();
        Self { table, texts, tokens, greatest_id }
    }

    /// The place of a token among the others.
    pub(super) fn place(&self, text: &str) -> Option<usize> {
        self.table.find(hash(text.as_bytes()), |place| self.is_at(place, text))
    }

    /// The id of a token.
    pub(super) fn id(&self, text: &str) -> Option<u32> {
        self.place(text).map(|place| self.id_at(place))
    }

    /// The id of the token at a place.
    pub(super) fn id_at(&self, place: usize) -> u32 {
        self.tokens[place].id
    }

    /// Whether there is a token at a place and this is its text.
    pub(super) fn is_at(&self, place: usize, text: &str) -> bool {
        let bytes = |entry: &Entry| &self.texts.as_bytes()[entry.start as usize..entry.end as usize];
        self.tokens.get(place).is_some_and(|entry| bytes(entry) == text.as_bytes())
    }

    /// The text of the token at a place.
    pub(super) fn text(&self, place: usize) -> &str {
        let entry = self.tokens[place];
        &self.texts[entry.start as usize..entry.end as usize]
    }

    /// How many tokens there are.
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether an id is a token's. Vocabularies have no holes that would be worth a table.
    pub(super) fn has(&self, id: u32) -> bool {
        self.greatest_id.is_some_and(|greatest| id <= greatest)
    }

    /// The text of the token with an id.
    pub(super) fn text_of(&self, id: u32) -> Option<&str> {
        let own = Some(id as usize).filter(|place| self.tokens.get(*place).is_some_and(|entry| entry.id == id));
        let place = own.or_else(|| self.tokens.iter().position(|entry| entry.id == id));
        place.map(|place| self.text(place))
    }

    /// Every token with its id.
    pub(super) fn tokens(&self) -> impl ExactSizeIterator<Item = (&str, u32)> {
        self.tokens.iter().enumerate().map(|(place, entry)| (self.text(place), entry.id))
    }
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Vocabulary;

        impl<'de> Visitor<'de> for Vocabulary {
            type Value = Listed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tokens and their ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Listed, A::Error> {
                let mut tokens = Listed::default();
                while let Some(start) = map.next_key_seed(Append(&mut tokens.texts))? {
                    let offset = |position| u32::try_from(position).map_err(|_| A::Error::custom("it is too large"));
                    let (start, end) = (offset(start)?, offset(tokens.texts.len())?);
                    tokens.tokens.push(Entry { start, end, id: map.next_value()? });
                }
                if tokens.tokens.len() > MOST {
                    return Err(A::Error::custom(format!("expected at most {MOST} tokens")));
                }
                Ok(tokens)
            }
        }

        deserializer.deserialize_map(Vocabulary)
    }
}

/// Adds a text to the others and tells where it starts.
pub(super) struct Append<'a>(pub(super) &'a mut String);

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
