//! BLAKE3's tree: the digest of bytes from the chaining values of subtrees that cover them, whoever hashed those.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

use crate::model::Digest;

/// What one thread hashes at a time: a subtree that is large beside the time it takes to get the next one.
const SUBTREE: usize = 1 << 20;
/// More threads than this wait for the memory.
const MOST_THREADS: usize = 8;

/// A subtree that is not the whole tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subtree {
    /// Where its bytes start in the whole.
    pub(super) start: u64,
    /// How many bytes it covers.
    pub(super) len: u64,
    pub(super) value: ChainingValue,
}

/// The digest of bytes, hashed by as many threads as they are worth.
pub(in crate::model) fn digest(bytes: &[u8]) -> Digest {
    let chunks: Vec<_> = bytes.chunks(SUBTREE).collect();
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS).min(chunks.len());
    if threads <= 1 {
        return Digest::of(bytes);
    }
    let next = AtomicUsize::new(0);
    let hash = || {
        let mine = || {
            let index = next.fetch_add(1, Ordering::Relaxed);
            chunks.get(index).map(|chunk| subtree((index * SUBTREE) as u64, chunk))
        };
        std::iter::from_fn(mine).collect::<Vec<_>>()
    };
    let mut subtrees = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(hash)).collect();
        let mine = hash();
        others.into_iter().fold(mine, |mut all, other| {
            all.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
            all
        })
    });
    subtrees.sort_by_key(|subtree| subtree.start);
    root(&subtrees)
}

fn subtree(start: u64, bytes: &[u8]) -> Subtree {
    let value = Hasher::new().set_input_offset(start).update(bytes).finalize_non_root();
    Subtree { start, len: bytes.len() as u64, value }
}

/// The digest of the bytes that several subtrees cover, one after the other.
pub(super) fn root(subtrees: &[Subtree]) -> Digest {
    let (left, right) = halves(subtrees);
    merge_subtrees_root(&value(left), &value(right), Mode::Hash).into()
}

fn value(subtrees: &[Subtree]) -> ChainingValue {
    match subtrees {
        [only] => only.value,
        several => {
            let (left, right) = halves(several);
            merge_subtrees_non_root(&value(left), &value(right), Mode::Hash)
        }
    }
}

/// The subtrees on the left and on the right of the one that they make; none is on both.
fn halves(subtrees: &[Subtree]) -> (&[Subtree], &[Subtree]) {
    let start = subtrees.first().map_or(0, |first| first.start);
    let bytes: u64 = subtrees.iter().map(|subtree| subtree.len).sum();
    let middle = start + left_subtree_len(bytes);
    subtrees.split_at(subtrees.partition_point(|subtree| subtree.start < middle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_hash_to_the_digest_of_one() {
        let bytes: Vec<u8> = (0..4 * SUBTREE as u32 + 3).map(|at| at.wrapping_mul(0x9e37_79b9) as u8).collect();
        for len in [0, 1, SUBTREE - 1, SUBTREE, SUBTREE + 1, 2 * SUBTREE, 3 * SUBTREE + 17, 4 * SUBTREE + 3] {
            assert_eq!(digest(&bytes[..len]), Digest::of(&bytes[..len]), "{len} bytes");
        }
    }
}
