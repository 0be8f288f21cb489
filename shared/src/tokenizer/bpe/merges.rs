//! The merges of a byte pair encoding, found by their two tokens.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

use crate::tokenizer::index::{Append, Index};
use crate::tokenizer::table::{MOST, Table, hash_number};

/// What two tokens become, and which pairs come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Merge {
    pub(super) rank: usize,
    pub(super) id: u32,
}

/// The merges in their order, and by their two tokens.
#[derive(Clone, Debug)]
pub(super) struct Merges {
    list: Vec<Line>,
    table: Table,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    pair: (u32, u32),
    id: u32,
}

fn pair_hash((left, right): (u32, u32)) -> u64 {
    hash_number(u64::from(left) << 32 | u64::from(right))
}

impl Merges {
    /// Of two merges of the same pair the last one counts.
    fn new(list: Vec<Line>) -> Self {
        let mut table = Table::with_room_for(list.len());
        for (rank, line) in list.iter().enumerate() {
            table.put(pair_hash(line.pair), rank, |rank| list[rank].pair == line.pair);
        }
        Self { list, table }
    }

    /// What two tokens become.
    pub(super) fn find(&self, left: u32, right: u32) -> Option<Merge> {
        let pair = (left, right);
        let rank = self.table.find(pair_hash(pair), |rank| self.list[rank].pair == pair)?;
        Some(Merge { rank, id: self.list[rank].id })
    }
}

/// The texts of merges as they are read.
#[derive(Debug, Default)]
pub(in crate::tokenizer) struct Spelled {
    /// Of each merge the two tokens, one behind the other.
    texts: String,
    /// Where the second token of a merge starts, and where it ends.
    lines: Vec<(u32, u32)>,
}

impl Spelled {
    /// The merges of these tokens. `prefix` is what the second token of a pair begins with and the merged one lacks.
    ///
    /// # Errors
    /// A token that is not there.
    pub(super) fn resolve(self, tokens: &Index, prefix: &str) -> Result<Merges, String> {
        let unknown = |text: &str| format!("the vocabulary has no token {text:?}, which is merged");
        let id = |text: &str| tokens.id(text).ok_or_else(|| unknown(text));
        let mut list = Vec::with_capacity(self.lines.len());
        let (mut start, mut next) = (0, 0);
        for (middle, end) in self.lines {
            let (middle, end) = (middle as usize, end as usize);
            let (left, right, mut whole) =
                (&self.texts[start..middle], &self.texts[middle..end], Cow::Borrowed(&self.texts[start..end]));
            if !prefix.is_empty() {
                let rest =
                    right.get(prefix.len()..).ok_or_else(|| format!("the token {right:?} goes on with no word"))?;
                whole = Cow::Owned(format!("{left}{rest}"));
            }
            let pair = (id(left)?, id(right)?);
            // Most vocabularies have the merged tokens in the order of the merges.
            let in_order = Some(next).filter(|next| tokens.is_at(*next, &whole));
            let place = in_order.or_else(|| tokens.place(&whole)).ok_or_else(|| unknown(&whole))?;
            list.push(Line { pair, id: tokens.id_at(place) });
            (start, next) = (end, place + 1);
        }
        Ok(Merges::new(list))
    }

    /// Ends a merge whose second token starts at `middle`.
    fn end<E: Error>(&mut self, middle: usize) -> Result<(), E> {
        let offset = |position| u32::try_from(position).map_err(|_| E::custom("it is too large"));
        self.lines.push((offset(middle)?, offset(self.texts.len())?));
        if self.lines.len() > MOST { Err(E::custom(format!("expected at most {MOST} merges"))) } else { Ok(()) }
    }
}

impl<'de> Deserialize<'de> for Spelled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Spelled;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of merges")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Spelled, A::Error> {
                let mut spelled = Spelled::default();
                while seq.next_element_seed(&mut spelled)?.is_some() {}
                Ok(spelled)
            }
        }

        deserializer.deserialize_seq(List)
    }
}

/// Reads one merge after the other: one text with a space between the tokens, or a list of two.
impl<'de> DeserializeSeed<'de> for &mut Spelled {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Spelled {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("two tokens")
    }

    fn visit_str<E: Error>(self, line: &str) -> Result<(), E> {
        // Lists that were made of a file begin with its version.
        if line.starts_with("#version") {
            return Ok(());
        }
        let (left, right) = line
            .split_once(' ')
            .filter(|(_, right)| !right.contains(' '))
            .ok_or_else(|| E::custom(format!("expected two tokens with a space between them, got {line:?}")))?;
        self.texts.push_str(left);
        let middle = self.texts.len();
        self.texts.push_str(right);
        self.end(middle)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let few = || A::Error::custom("expected two tokens, got fewer");
        seq.next_element_seed(Append(&mut self.texts))?.ok_or_else(few)?;
        let middle = seq.next_element_seed(Append(&mut self.texts))?.ok_or_else(few)?;
        if seq.next_element::<IgnoredAny>()?.is_some() {
            return Err(A::Error::custom("expected two tokens, got more"));
        }
        self.end(middle)
    }
}
