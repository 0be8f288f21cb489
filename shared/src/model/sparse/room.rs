//! Memory that the sections of a package are expanded into, side by side: each by itself is too small for huge pages.

use std::sync::{Mutex, PoisonError};

use bytes::BytesMut;

use super::Sparse;
use crate::model::{LINE, aligned};

/// What is left of it.
pub(in crate::model) struct Room(Mutex<BytesMut>);

impl Room {
    /// Room for sections of which so many bytes are stored.
    pub(in crate::model) fn of<'a>(sections: impl Iterator<Item = (&'a Sparse, usize)>) -> Self {
        let sizes = sections.filter_map(|(sparse, stored_bytes)| sparse.expanded_bytes(stored_bytes));
        Self(Mutex::new(aligned(sizes.map(|size| size.next_multiple_of(LINE)).sum())))
    }

    /// Zeroed memory for so many bytes that starts at a cache line: some of the room, or some of its own where that has
    /// been taken.
    pub(in crate::model) fn take(&self, length: usize) -> BytesMut {
        let mut rest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = length.next_multiple_of(LINE);
        if taken > rest.len() {
            return aligned(length);
        }
        let mut memory = rest.split_to(taken);
        memory.truncate(length);
        memory
    }
}

#[cfg(test)]
mod tests;
