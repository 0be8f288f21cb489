//! A hash table from texts to their places in a list, which holds neither the texts nor the list.

/// Open addressing, at most half full.
#[derive(Clone, Debug)]
pub(super) struct Table {
    slots: Vec<Slot>,
}

/// The upper half of a hash, and the place in the list plus one; 0 is an empty slot.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    tag: u32,
    place: u32,
}

impl Table {
    pub(super) fn with_room_for(texts: usize) -> Self {
        Self { slots: vec![Slot::default(); (2 * texts).next_power_of_two().max(2)] }
    }

    /// The place of a text with this hash that `is_it` confirms.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut position = hash as usize & mask;
        loop {
            let slot = self.slots[position];
            let place = (slot.place as usize).checked_sub(1)?;
            if slot.tag == tag(hash) && is_it(place) {
                return Some(place);
            }
            position = (position + 1) & mask;
        }
    }

    /// Adds a text that is not there yet; no more than the table was given room for.
    pub(super) fn insert(&mut self, hash: u64, place: usize) {
        let mask = self.slots.len() - 1;
        let mut position = hash as usize & mask;
        while self.slots[position].place != 0 {
            position = (position + 1) & mask;
        }
        self.slots[position] = Slot { tag: tag(hash), place: place as u32 + 1 };
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// A quick hash, for tables whose contents nobody outside chooses.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |state: u64, word: u64| {
        let product = u128::from(state ^ word) * u128::from(FACTOR);
        (product >> 64) as u64 ^ product as u64
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let mut tail = [0; 8];
    tail[..rest.len()].copy_from_slice(rest);
    let state = words.iter().fold(FACTOR ^ bytes.len() as u64, |state, word| mix(state, u64::from_le_bytes(*word)));
    mix(mix(state, u64::from_le_bytes(tail)), FACTOR)
}
