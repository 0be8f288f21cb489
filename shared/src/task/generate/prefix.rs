//! Sequences that have been read: a prompt that begins as one of them goes on from a fork of it.

use crate::engine::Sequence;

/// A sequence with the tokens it has read.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) tokens: Vec<u32>,
    pub(super) sequence: Sequence,
}

/// Sequences of finished requests, the least recently used first.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    kept: Vec<Kept>,
}

/// How many sequences are kept, however small: each is compared with every prompt.
const MOST: usize = 256;

impl Prefixes {
    /// A fork of the sequence that shares the longest beginning with `tokens`, cut to it.
    pub(super) fn fork(&mut self, tokens: &[u32]) -> Option<Sequence> {
        let best = self.kept.iter().enumerate().map(|(place, kept)| (common(&kept.tokens, tokens), place)).max()?;
        let (length, place) = best;
        if length == 0 {
            return None;
        }
        let used = self.kept.remove(place);
        let sequence = used.sequence.fork(length);
        self.kept.push(used);
        Some(sequence)
    }

    /// How many tokens of `tokens` a sequence has read.
    pub(super) fn longest(&self, tokens: &[u32]) -> usize {
        self.kept.iter().map(|kept| common(&kept.tokens, tokens)).max().unwrap_or(0)
    }

    /// Keeps a sequence, in the place of those that are its beginnings.
    pub(super) fn keep(&mut self, kept: Kept) {
        if kept.tokens.is_empty() || kept.sequence.len() != kept.tokens.len() {
            return;
        }
        self.kept.retain(|old| !kept.tokens.starts_with(&old.tokens));
        if self.longest(&kept.tokens) < kept.tokens.len() {
            self.kept.push(kept);
        }
    }

    /// Gives up sequences until the rest takes no more than `bytes`.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let mut total: usize = self.kept.iter().map(|kept| kept.sequence.bytes()).sum();
        let over = self.kept.len().saturating_sub(MOST);
        let gone = self.kept.iter().enumerate().take_while(|(place, kept)| {
            let goes = *place < over || total > bytes;
            total -= if goes { kept.sequence.bytes() } else { 0 };
            goes
        });
        let gone = gone.count();
        self.kept.drain(..gone);
    }
}

/// How many tokens two lists begin with alike.
pub(super) fn common(one: &[u32], other: &[u32]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}
