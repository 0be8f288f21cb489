//! Bytes that come in parts, in any order: each part is placed and hashed as it comes.
//!
//! A part is a subtree of the BLAKE3 tree over all bytes, so that the digest of the whole follows from what the parts
//! hashed, without another look at the bytes. The parts lie side by side in one piece of memory from the start: each
//! owns its own, and joining them copies nothing.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use blake3::hazmat::HasherExt as _;
use blake3::{CHUNK_LEN, Hasher};
use bytes::BytesMut;

use super::Hashed;
use super::tree::{self, Subtree};
use crate::model::{Digest, aligned};

/// How much is hashed at once: enough for the widest vectors, and still in the cache from being placed.
const STRIDE: usize = 64 * 1024;

/// The size of parts: a power of two, as subtrees of BLAKE3 have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartSize(u64);

/// A number that parts can't have for a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the size of a part: expected a power of two from 1024 to 1073741824")]
pub struct PartSizeError(String);

impl PartSize {
    /// A part of so many MiB, a power of two.
    pub(crate) const fn mebibytes(mebibytes: u64) -> Self {
        assert!(mebibytes.is_power_of_two() && mebibytes <= 1024);
        Self(mebibytes << 20)
    }

    /// The smallest that is no smaller than `bytes`, `self` and no larger than `largest`.
    pub(crate) fn fit(self, bytes: u64, largest: Self) -> Self {
        Self(bytes.min(largest.0).next_power_of_two().clamp(self.0, largest.0.max(self.0)))
    }

    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for PartSize {
    type Err = PartSizeError;

    fn from_str(text: &str) -> Result<Self, PartSizeError> {
        let bytes = text.parse::<u64>().ok();
        let allowed = bytes.filter(|bytes| bytes.is_power_of_two() && (CHUNK_LEN as u64..=1 << 30).contains(bytes));
        allowed.map(Self).ok_or_else(|| PartSizeError(text.chars().take(40).collect()))
    }
}

impl fmt::Display for PartSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A part of some bytes, filled from its start to its end.
#[derive(Debug)]
pub(crate) struct Part {
    /// Where it starts in the whole.
    start: u64,
    bytes: BytesMut,
    filled: usize,
    hashed: usize,
    hasher: Hasher,
}

impl Part {
    fn new(start: u64, bytes: BytesMut) -> Self {
        let mut hasher = Hasher::new();
        hasher.set_input_offset(start);
        Self { start, bytes, filled: 0, hashed: 0, hasher }
    }

    /// Where it starts in the whole.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Its size.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What of the whole this part still lacks.
    pub(crate) fn missing(&self) -> Range<u64> {
        self.start + self.filled as u64..self.start + self.bytes.len() as u64
    }

    /// Whether all its bytes have come.
    pub(crate) fn is_whole(&self) -> bool {
        self.filled == self.bytes.len()
    }

    /// Places and hashes the bytes that come next, as many as there is room for.
    pub(crate) fn push(&mut self, next: &[u8]) {
        let end = self.bytes.len().min(self.filled + next.len());
        let place = &mut self.bytes[self.filled..end];
        place.copy_from_slice(&next[..place.len()]);
        self.filled = end;
        while self.filled - self.hashed >= STRIDE {
            self.hash(self.hashed + STRIDE);
        }
        if self.is_whole() {
            self.hash(self.filled);
        }
    }

    /// What was hashed, of a part that is not the only one.
    fn subtree(&self) -> Subtree {
        Subtree { start: self.start, len: self.bytes.len() as u64, value: self.hasher.finalize_non_root() }
    }

    fn hash(&mut self, end: usize) {
        self.hasher.update(&self.bytes[self.hashed..end]);
        self.hashed = end;
    }
}

/// Memory for `total` bytes, zeroed as it is touched, in parts of growing sizes: the first of `first` bytes, none larger
/// than `largest`.
pub(crate) fn allocate(total: usize, first: PartSize, largest: PartSize) -> Vec<Part> {
    let mut rest = aligned(total);
    let part = |range: Range<u64>| Part::new(range.start, rest.split_to((range.end - range.start) as usize));
    ranges(total as u64, first, largest).map(part).collect()
}

/// Where parts are: each is as large as the subtree that starts there may be, within `largest`.
fn ranges(total: u64, first: PartSize, largest: PartSize) -> impl Iterator<Item = Range<u64>> {
    let end = move |start: u64| {
        let size = if start == 0 { first.0 } else { (1 << start.trailing_zeros()).min(largest.0.max(first.0)) };
        total.min(start + size)
    };
    let next = move |range: &Range<u64>| (range.end < total).then(|| range.end..end(range.end));
    std::iter::successors((total > 0).then(|| 0..end(0)), next)
}

/// Joins the parts of [`allocate`]; `None` where one of them is not whole or not there.
pub(crate) fn assemble(mut parts: Vec<Part>) -> Option<Hashed> {
    parts.sort_by_key(Part::start);
    let mut end = 0;
    for part in &parts {
        if part.start != end || !part.is_whole() {
            return None;
        }
        end += part.len() as u64;
    }
    let digest = root(&parts);
    let mut whole = BytesMut::new();
    for part in parts {
        whole.unsplit(part.bytes);
    }
    Some(Hashed { bytes: whole.freeze().into(), digest })
}

/// The digest of what the parts hashed.
fn root(parts: &[Part]) -> Digest {
    match parts {
        [] => Digest::of(&[]),
        [only] => only.hasher.finalize().into(),
        several => tree::root(&several.iter().map(Part::subtree).collect::<Vec<_>>()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size(bytes: u64) -> PartSize {
        bytes.to_string().parse().unwrap()
    }

    fn sizes() -> impl Strategy<Value = PartSize> {
        (10u32..=17).prop_map(|bits| PartSize(1 << bits))
    }

    #[test]
    fn small_bytes_are_one_part_and_large_ones_grow_to_the_largest() {
        let starts = |total| ranges(total, size(4096), size(16384)).map(|range| range.end).collect::<Vec<_>>();
        assert!(starts(0).is_empty());
        assert_eq!(starts(4096), [4096]);
        assert_eq!(starts(4097), [4096, 4097]);
        assert_eq!(starts(70_000), [4096, 8192, 16384, 32768, 49152, 65536, 70_000]);
    }

    #[test]
    fn a_size_fits_between_its_bounds() {
        let fit = |bytes| size(4096).fit(bytes, size(16384)).bytes();
        assert_eq!([fit(0), fit(4096), fit(5000), fit(9000), fit(u64::MAX)], [4096, 4096, 8192, 16384, 16384]);
    }

    #[test]
    fn a_size_that_is_no_power_of_two_is_refused() {
        for text in ["", "0", "512", "3000", "-1024", "2147483648", "1 MiB"] {
            assert!(text.parse::<PartSize>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_part_that_lacks_a_byte_makes_no_whole() {
        let mut parts = allocate(5000, size(4096), size(4096));
        parts[0].push(&[1; 4096]);
        parts[1].push(&[1; 903]);
        assert!(assemble(parts).is_none());
        let mut parts = allocate(5000, size(4096), size(4096));
        parts[1].push(&[1; 904]);
        parts.remove(0);
        assert!(assemble(parts).is_none());
    }

    #[test]
    fn what_has_no_room_is_left_out() {
        let mut parts = allocate(10, size(1024), size(1024));
        parts[0].push(b"0123456789abc");
        assert_eq!(&*assemble(parts).unwrap().into_bytes(), b"0123456789");
    }

    #[test]
    fn joining_parts_copies_nothing_and_keeps_cache_lines() {
        let mut parts = allocate(20_000, size(1024), size(4096));
        let start = parts[0].bytes.as_ptr();
        for part in &mut parts {
            part.push(&[7; 4096]);
        }
        let whole = assemble(parts).unwrap().into_bytes();
        assert_eq!(whole.as_ptr(), start);
        assert_eq!((start as usize % 64, whole.len()), (0, 20_000));
    }

    proptest! {
        #[test]
        fn parts_are_subtrees_that_cover_all_bytes(total in 0u64..=1 << 24, first in sizes(), largest in sizes()) {
            let mut end = 0;
            for range in ranges(total, first, largest) {
                prop_assert_eq!(range.start, end);
                prop_assert!(range.end > range.start);
                if let Some(most) = blake3::hazmat::max_subtree_len(range.start) {
                    prop_assert!(range.end - range.start <= most.min(largest.max(first).bytes()));
                }
                end = range.end;
            }
            prop_assert_eq!(end, total);
        }

        #[test]
        fn any_split_and_order_hashes_to_the_digest_of_the_whole(
            total in 0usize..300_000,
            first in sizes(),
            largest in sizes(),
            frames in prop::collection::vec(1usize..80_000, 1..6),
            seed: u64,
        ) {
            let whole: Vec<u8> = (0..total).map(|at| (at as u64 ^ seed).wrapping_mul(0x9e37_79b9) as u8).collect();
            let mut parts = allocate(total, first, largest);
            parts.reverse();
            let (mut sizes, mut finished) = (frames.iter().cycle(), Vec::new());
            // One frame for each part in turn, as they come over the wire.
            while !parts.is_empty() {
                for part in &mut parts {
                    let missing = part.missing();
                    let frame = (*sizes.next().unwrap()).min((missing.end - missing.start) as usize);
                    let start = missing.start as usize;
                    part.push(&whole[start..start + frame]);
                }
                finished.extend(parts.extract_if(.., |part| part.is_whole()));
            }
            let hashed = assemble(finished).unwrap();
            prop_assert_eq!(hashed.digest(), &Digest::of(&whole));
            prop_assert_eq!(&**hashed.bytes(), &whole[..]);
        }
    }
}
