//! Heads on their way in: normed, rotated, and written into the cache.

use std::ptr::null_mut;
use std::sync::Arc;

use super::{BlockInUse, CausalAttention, Reading};
use crate::cache::{BLOCK_TOKENS, Block, Cached, Room};
use crate::lanes::{Half, Lanes, WIDEST, tiers};
use crate::{Isa, scratch};

/// The greatest of the whole numbers that a number of 8 bits is kept as.
const LEVELS: f32 = 127.0;
/// A head whose numbers are all smaller is kept as zeros: what it would be multiplied by has no end.
const NOTHING: f32 = 1e-36;

/// What is done to a head before it meets others.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    /// The gain of a norm, or null.
    pub(super) gain: *const f32,
    pub(super) epsilon: f32,
    /// Cosines, then sines.
    pub(super) angles: *const f32,
    /// How many numbers are turned.
    pub(super) rotary_width: usize,
    /// Multiplies the outcome.
    pub(super) scale: f32,
}

/// Writes a head of `width` numbers, normed, rotated and scaled.
///
/// # Safety
/// The contract of [`Lanes`]; `from`, `to` and the gain have `width` numbers, the angles as many as are turned.
#[inline(always)]
pub(super) unsafe fn turn<L: Lanes>(turn: Turn, from: *const f32, width: usize, to: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        let factor = if turn.gain.is_null() { turn.scale } else { turn.scale * norm::<L>(from, width, turn.epsilon) };
        let number = |i: usize| if turn.gain.is_null() { *from.add(i) } else { *from.add(i) * *turn.gain.add(i) };
        let vector = |i: usize| {
            let v = L::mul(L::load(from.add(i)), L::splat(factor));
            if turn.gain.is_null() { v } else { L::mul(v, L::load(turn.gain.add(i))) }
        };
        let half = turn.rotary_width / 2;
        let whole = half - half % L::WIDTH;
        for i in (0..whole).step_by(L::WIDTH) {
            let (cosine, sine) = (L::load(turn.angles.add(i)), L::load(turn.angles.add(half + i)));
            let (a, b) = (vector(i), vector(half + i));
            L::store(to.add(i), L::sub(L::mul(a, cosine), L::mul(b, sine)));
            L::store(to.add(half + i), L::mul_add(b, cosine, L::mul(a, sine)));
        }
        for i in whole..half {
            let (cosine, sine) = (*turn.angles.add(i), *turn.angles.add(half + i));
            let (a, b) = (number(i) * factor, number(half + i) * factor);
            *to.add(i) = a * cosine - b * sine;
            *to.add(half + i) = b * cosine + a * sine;
        }
        for i in turn.rotary_width..width {
            *to.add(i) = number(i) * factor;
        }
    }
}

/// 1 over the root of the mean of squares.
#[inline(always)]
unsafe fn norm<L: Lanes>(from: *const f32, width: usize, epsilon: f32) -> f32 {
    let whole = width - width % L::WIDTH;
    // SAFETY: the caller's promise.
    unsafe {
        let mut squares = L::splat(0.0);
        for i in (0..whole).step_by(L::WIDTH) {
            let v = L::load(from.add(i));
            squares = L::mul_add(v, v, squares);
        }
        let rest: f32 = (whole..width).map(|i| *from.add(i) * *from.add(i)).sum();
        1.0 / ((L::sum(squares) + rest) / width as f32 + epsilon).sqrt()
    }
}

/// Writes a reading's keys and values into its blocks.
///
/// # Errors
/// [`BlockInUse`] where a block is shared.
pub(super) fn remember(isa: Isa, attention: &CausalAttention<'_>, reading: &mut Reading<'_>) -> Result<(), BlockInUse> {
    let mut token = 0;
    while token < reading.tokens {
        let place = reading.past + token;
        let count = (BLOCK_TOKENS - place % BLOCK_TOKENS).min(reading.tokens - token);
        let block = Arc::get_mut(&mut reading.blocks[place / BLOCK_TOKENS]).ok_or(BlockInUse)?;
        let rows = Rows {
            qkv: reading.qkv[token * attention.stride()..].as_ptr(),
            angles: reading.angles[token * attention.rotary_width..].as_ptr(),
            place: place % BLOCK_TOKENS,
            count,
        };
        let width = attention.room.head_width.next_multiple_of(WIDEST);
        scratch::floats(2 * width, |memory| {
            // SAFETY: the lengths were checked by the caller; the block is ours.
            unsafe { store(isa, attention, rows, block, memory.as_mut_ptr()) }
        });
        token += count;
    }
    Ok(())
}

/// Some tokens that go into one block, from the place `place` on.
#[derive(Clone, Copy)]
struct Rows {
    qkv: *const f32,
    angles: *const f32,
    place: usize,
    count: usize,
}

tiers! {
    unsafe fn store(attention: &CausalAttention<'_>, rows: Rows, block: &mut Block, memory: *mut f32) = store_lanes;
}

#[inline(always)]
unsafe fn store_lanes<L: Lanes>(attention: &CausalAttention<'_>, rows: Rows, block: &mut Block, memory: *mut f32) {
    // SAFETY: the caller's promise; the memory has two padded heads.
    unsafe {
        match block {
            Block::F32(numbers) => store_rows::<L, f32>(attention, rows, numbers.as_mut_ptr(), null_mut(), memory),
            Block::F16(numbers) => {
                store_rows::<L, Half>(attention, rows, numbers.as_mut_ptr().cast(), null_mut(), memory);
            }
            Block::Int8 { numbers, scales } => {
                store_rows::<L, i8>(attention, rows, numbers.as_mut_ptr(), scales.as_mut_ptr(), memory);
            }
        }
    }
}

#[inline(always)]
unsafe fn store_rows<L: Lanes, E: Cached>(
    attention: &CausalAttention<'_>,
    rows: Rows,
    block: *mut E,
    scales: *mut f32,
    memory: *mut f32,
) {
    let room: Room = attention.room;
    let (width, padded) = (room.head_width, room.value_stride());
    // SAFETY: the block and its scales have the room, the rows are within what the caller checked, the memory has two padded
    // heads.
    unsafe {
        let narrow = memory.add(padded).cast::<E>();
        for i in width..padded {
            *memory.add(i) = 0.0;
        }
        for token in 0..rows.count {
            let heads = rows.qkv.add(token * attention.stride() + attention.heads * width);
            let place = rows.place + token;
            let how = Turn {
                gain: attention.key_norm.map_or(std::ptr::null(), <[f32]>::as_ptr),
                epsilon: attention.epsilon,
                angles: rows.angles.add(token * attention.rotary_width),
                rotary_width: attention.rotary_width,
                scale: 1.0,
            };
            for head in 0..room.key_heads {
                turn::<L>(how, heads.add(head * width), width, memory);
                if E::SCALED {
                    *scales.add(room.key_scales(head) + place) = fit::<L>(memory, padded);
                }
                for i in (0..padded).step_by(L::WIDTH) {
                    E::store::<L>(narrow.add(i), L::load(memory.add(i)));
                }
                let keys = block.add(room.keys(head));
                for i in 0..width {
                    *keys.add(i * BLOCK_TOKENS + place) = *narrow.add(i);
                }
                memory.copy_from_nonoverlapping(heads.add((room.key_heads + head) * width), width);
                if E::SCALED {
                    *scales.add(room.value_scales(head) + place) = fit::<L>(memory, padded);
                }
                let values = block.add(room.values(head) + place * padded);
                for i in (0..padded).step_by(L::WIDTH) {
                    E::store::<L>(values.add(i), L::load(memory.add(i)));
                }
            }
        }
    }
}

/// Brings numbers to -127 to 127, and tells by what they are to be multiplied again.
///
/// # Safety
/// The contract of [`Lanes`]; there are `padded` numbers, whole vectors.
#[inline(always)]
unsafe fn fit<L: Lanes>(numbers: *mut f32, padded: usize) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let mut greatest = L::splat(0.0);
        for i in (0..padded).step_by(L::WIDTH) {
            let v = L::load(numbers.add(i));
            greatest = L::max(greatest, L::max(v, L::sub(L::splat(0.0), v)));
        }
        let greatest = L::greatest(greatest);
        let factor = if greatest < NOTHING { 0.0 } else { LEVELS / greatest };
        for i in (0..padded).step_by(L::WIDTH) {
            L::store(numbers.add(i), L::mul(L::load(numbers.add(i)), L::splat(factor)));
        }
        greatest / LEVELS
    }
}
