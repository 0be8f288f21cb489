//! Sections without their zeros: a mask that says which elements are there, and those elements one after the other.
//!
//! The mask has a bit for each element, in little-endian words of 64 bits, the first element in the lowest bit; what a last
//! word has beyond the elements is 0. An element is left out if each of its bits is 0, so that -0.0 stays. A word is as long
//! as the widest element: what follows the mask is aligned in a file as the elements of any section are.
//!
//! A model that is loaded has such sections expanded beside the package's bytes: they take less room in a store and on the
//! way, and more in memory than sections of all their elements, which are borrowed.

use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use emberlite_kernels::threads;
use serde::{Deserialize, Serialize};

pub(super) use room::Room;

mod room;

/// Zeros are left out where that spares at least so many bytes: for less it isn't worth memory and time at the load.
const LEAST_SPARED_BYTES: usize = 4096;
/// And where at least one element in so many is zero: that spares an eighth of bytes, and more of wider elements. Panels
/// are padded with fewer zeros, so that the layers of a model which nobody pruned are stored as ever.
const LEAST_ZEROS: usize = 4;
/// The elements of a word of the mask.
const WORD: usize = u64::BITS as usize;
/// The words that a thread expands in one go: some 20 µs of work.
const PART_WORDS: usize = 1024;

/// The elements that a section without its zeros stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sparse {
    /// Their type.
    pub dtype: safetensors::Dtype,
    /// Their shape.
    pub shape: Vec<usize>,
}

/// Why some bytes are no section without its zeros.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SparseError {
    #[error("elements of type {0:?} have no mask: expected some of 1, 2, 4 or 8 bytes")]
    Type(safetensors::Dtype),
    #[error("the shape {0:?} is larger than memory")]
    Shape(Vec<usize>),
    #[error("expected a mask of {expected} bytes for the shape {shape:?}, got {got} bytes in all")]
    Mask { expected: usize, shape: Vec<usize>, got: usize },
    #[error("the mask marks elements beyond the last of the shape {0:?}")]
    Beyond(Vec<usize>),
    #[error("the mask marks {marked} elements, which have {expected} bytes; {got} bytes follow it")]
    Present { marked: usize, expected: usize, got: usize },
}

/// The size of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    One = 1,
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl Sparse {
    /// What is stored of elements of this type and shape without the zeros, where it is worth it.
    pub(super) fn without_zeros(&self, elements: &[u8]) -> Option<Vec<u8>> {
        match self.width().ok().filter(|_| self.may_be_pruned())? {
            Width::One => without_zeros(elements.as_chunks::<1>().0),
            Width::Two => without_zeros(elements.as_chunks::<2>().0),
            Width::Four => without_zeros(elements.as_chunks::<4>().0),
            Width::Eight => without_zeros(elements.as_chunks::<8>().0),
        }
    }

    /// Whether it is of a type that weights have: other integers are indices, masks and tables, which are left as they are.
    fn may_be_pruned(&self) -> bool {
        use safetensors::Dtype::{BF16, F16, F32, F64, I8, U16};
        // Half precision of the kind bf16 is stored as U16.
        matches!(self.dtype, I8 | U16 | F16 | BF16 | F32 | F64)
    }

    /// All elements, of which `stored` has those that are not zero, in zeroed memory that `room` has for so many bytes.
    pub(super) fn decode(&self, stored: &[u8], room: impl FnOnce(usize) -> BytesMut) -> Result<Bytes, SparseError> {
        match self.width()? {
            Width::One => self.decode_wide::<1>(stored, room),
            Width::Two => self.decode_wide::<2>(stored, room),
            Width::Four => self.decode_wide::<4>(stored, room),
            Width::Eight => self.decode_wide::<8>(stored, room),
        }
    }

    /// The size of all elements, where `stored_bytes` have room for their mask.
    fn expanded_bytes(&self, stored_bytes: usize) -> Option<usize> {
        let (count, width) = (self.count().ok()?, self.width().ok()?);
        (mask_bytes(count) <= stored_bytes).then(|| count * width as usize)
    }

    /// The share of zeros among the elements, as the length of what is stored tells it.
    pub(super) fn zeros(&self, stored_bytes: usize) -> Result<f64, SparseError> {
        let count = self.count()?;
        let present = stored_bytes.saturating_sub(mask_bytes(count)) / self.width()? as usize;
        Ok(1.0 - present as f64 / count.max(1) as f64)
    }

    fn width(&self) -> Result<Width, SparseError> {
        match self.dtype.bitsize() {
            8 => Ok(Width::One),
            16 => Ok(Width::Two),
            32 => Ok(Width::Four),
            64 => Ok(Width::Eight),
            _ => Err(SparseError::Type(self.dtype)),
        }
    }

    fn count(&self) -> Result<usize, SparseError> {
        let count = self.shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
        count.ok_or_else(|| SparseError::Shape(self.shape.clone()))
    }

    fn decode_wide<const N: usize>(
        &self,
        stored: &[u8],
        room: impl FnOnce(usize) -> BytesMut,
    ) -> Result<Bytes, SparseError> {
        let count = self.count()?;
        let expected = mask_bytes(count);
        let Some((mask, present)) = stored.split_at_checked(expected) else {
            return Err(SparseError::Mask { expected, shape: self.shape.clone(), got: stored.len() });
        };
        let mask = mask.as_chunks().0;
        let last = mask.last().filter(|_| !count.is_multiple_of(WORD));
        if last.is_some_and(|word| bits(word) >> (count % WORD) != 0) {
            return Err(SparseError::Beyond(self.shape.clone()));
        }
        let marked = marked(mask);
        if present.len() != marked * N {
            return Err(SparseError::Present { marked, expected: marked * N, got: present.len() });
        }
        let mut elements = room(count * N);
        spread::<N>(mask, present.as_chunks().0, elements.as_chunks_mut().0);
        Ok(elements.freeze())
    }
}

fn mask_bytes(count: usize) -> usize {
    count.div_ceil(WORD) * size_of::<u64>()
}

fn bits(word: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*word)
}

fn marked(mask: &[[u8; 8]]) -> usize {
    mask.iter().map(|word| bits(word).count_ones() as usize).sum()
}

fn is_present<const N: usize>(element: &[u8; N]) -> bool {
    *element != [0; N]
}

fn without_zeros<const N: usize>(elements: &[[u8; N]]) -> Option<Vec<u8>> {
    let zeros = elements.iter().filter(|element| !is_present(element)).count();
    let spared = (N * zeros).saturating_sub(mask_bytes(elements.len()));
    let pays = spared >= LEAST_SPARED_BYTES && LEAST_ZEROS * zeros >= elements.len();
    pays.then(|| encode(elements))
}

fn encode<const N: usize>(elements: &[[u8; N]]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(mask_bytes(elements.len()) + N * elements.len());
    for elements in elements.chunks(WORD) {
        let marks = elements.iter().rev().fold(0u64, |marks, element| marks << 1 | u64::from(is_present(element)));
        stored.extend(marks.to_le_bytes());
    }
    elements.iter().filter(|element| is_present(element)).for_each(|element| stored.extend_from_slice(element));
    stored.shrink_to_fit();
    stored
}

/// Puts the elements that are `present` where the mask marks them, on all threads; the others are zero already.
fn spread<const N: usize>(mask: &[[u8; 8]], mut present: &[[u8; N]], elements: &mut [[u8; N]]) {
    let mut parts = Vec::with_capacity(mask.len().div_ceil(PART_WORDS));
    for (mask, elements) in mask.chunks(PART_WORDS).zip(elements.chunks_mut(PART_WORDS * WORD)) {
        let (own, rest) = present.split_at(marked(mask));
        parts.push(Mutex::new((mask, own, elements)));
        present = rest;
    }
    threads::split(parts.len(), |index| {
        let mut part = parts[index].lock().unwrap_or_else(PoisonError::into_inner);
        let (mask, present, elements) = &mut *part;
        spread_part(mask, present, elements);
    });
}

fn spread_part<const N: usize>(mask: &[[u8; 8]], mut present: &[[u8; N]], elements: &mut [[u8; N]]) {
    for (word, elements) in mask.iter().zip(elements.chunks_mut(WORD)) {
        let mut bits = bits(word);
        let (own, rest) = present.split_at(bits.count_ones() as usize);
        present = rest;
        if bits == u64::MAX {
            elements.copy_from_slice(own);
            continue;
        }
        for element in own {
            elements[bits.trailing_zeros() as usize] = *element;
            bits &= bits - 1;
        }
    }
}

#[cfg(test)]
mod tests;
