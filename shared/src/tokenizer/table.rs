//! A hash table from keys to their places in a list, which holds neither the keys nor the list.

/// The most places that there can be.
pub(super) const MOST: usize = (1 << PLACE_BITS) - 1;
const PLACE_BITS: u32 = 24;

/// Open addressing, at most half full. A slot has the upper bits of a hash, and the place in the list plus one below
/// them; 0 is an empty slot. What is small is quick to make, and most of it stays in the cache.
#[derive(Clone, Debug)]
pub(super) struct Table {
    slots: Vec<u32>,
}

impl Table {
    /// A table for as many keys, [`MOST`] at most.
    pub(super) fn with_room_for(keys: usize) -> Self {
        Self { slots: vec![0; (2 * keys).next_power_of_two().max(2)] }
    }

    /// The place of a key with this hash that `is_it` confirms.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let slot = self.slot(hash, is_it);
        place(self.slots[slot])
    }

    /// Puts a key with this hash at a place, no more keys than the table was given room for. Where it was before,
    /// if `is_it` confirms that it was there.
    pub(super) fn put(&mut self, hash: u64, new: usize, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let slot = self.slot(hash, is_it);
        let slot = &mut self.slots[slot];
        let before = place(*slot);
        *slot = tag(hash) | (new as u32 + 1);
        before
    }

    /// The slot of a key, or the one where it would be.
    fn slot(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> usize {
        let mask = self.slots.len() - 1;
        let mut position = hash as usize & mask;
        while let Some(place) = place(self.slots[position]) {
            if self.slots[position] >> PLACE_BITS == tag(hash) >> PLACE_BITS && is_it(place) {
                break;
            }
            position = (position + 1) & mask;
        }
        position
    }
}

fn place(slot: u32) -> Option<usize> {
    (slot as usize & MOST).checked_sub(1)
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 & !(MOST as u32)
}

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(state: u64, word: u64) -> u64 {
    let product = u128::from(state ^ word) * u128::from(FACTOR);
    (product >> 64) as u64 ^ product as u64
}

/// A quick hash of a text, for tables whose contents nobody outside chooses.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let state = FACTOR ^ bytes.len() as u64;
    let half = |half: &[u8; 4]| u64::from(u32::from_le_bytes(*half));
    if let Some(tail) = bytes.last_chunk::<8>() {
        // The last eight bytes may overlap those before them.
        let (words, _) = bytes[..bytes.len() - 1].as_chunks::<8>();
        let state = words.iter().fold(state, |state, word| mix(state, u64::from_le_bytes(*word)));
        return mix(mix(state, u64::from_le_bytes(*tail)), FACTOR);
    }
    let tail = match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => half(first) | half(last) << 32,
        _ => bytes.iter().fold(0, |tail, byte| tail << 8 | u64::from(*byte)),
    };
    mix(mix(state, tail), FACTOR)
}

/// A quick hash of a number.
pub(super) fn hash_number(number: u64) -> u64 {
    mix(FACTOR, number)
}
