//! Causal attention of new tokens over a cache of keys and values: grouped queries, rotary positions, norms of heads, a
//! window, a soft cap.
//!
//! The queries that share a head of keys are rows of one product: a few rows at a time meet the cache block by block, and
//! the softmax is kept up over the blocks (Milakov and Gimelshein 2018; Dao et al. 2022). One token or many take the same
//! way, so that decoding gives what reading at once gives.

mod heads;
mod rows;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use crate::cache::{BLOCK_TOKENS, Block, Room};
use crate::threads::{self, Shared};
use crate::{Isa, scratch};

/// How many tokens of a head a thread takes at once.
const TOKENS: usize = 32;

/// What a layer's attention is like.
#[derive(Clone, Copy, Debug)]
pub struct CausalAttention<'a> {
    /// How many heads of queries: a multiple of the heads of keys.
    pub heads: usize,
    /// Where the keys and values are, and how many heads of them there are.
    pub room: Room,
    /// Multiplies the scores.
    pub scale: f32,
    /// How many keys a query sees, its own included.
    pub window: Option<usize>,
    /// Scores become `cap * tanh(score / cap)`.
    pub softcap: Option<f32>,
    /// How many numbers of a head are rotated: pairs are half of that apart. Even.
    pub rotary_width: usize,
    /// The gain of an RMS norm of each head of queries, before the rotation.
    pub query_norm: Option<&'a [f32]>,
    /// The same for keys.
    pub key_norm: Option<&'a [f32]>,
    /// Keeps the square roots of these norms away from zero.
    pub epsilon: f32,
}

/// What one sequence reads in a step.
#[derive(Debug)]
pub struct Reading<'a> {
    /// `[tokens][heads + 2 * key heads][head_width]`: queries, keys, values.
    pub qkv: &'a [f32],
    /// Cosines, then sines, by which the pairs are turned, `[tokens][2][rotary_width / 2]`.
    pub angles: &'a [f32],
    /// How many tokens it has read before.
    pub past: usize,
    /// How many it reads now.
    pub tokens: usize,
    /// Room for all of them.
    pub blocks: &'a mut [Arc<Block>],
}

/// A block of the cache can't be written: somebody else holds it, or it has another size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockInUse;

/// A part of the work: a head of keys and some tokens of a reading.
struct Task {
    reading: usize,
    head: usize,
    tokens: Range<usize>,
    /// The first of the reading's tokens among all.
    first: usize,
}

impl CausalAttention<'_> {
    fn group(&self) -> usize {
        self.heads / self.room.key_heads
    }

    /// The length of a token's queries, keys and values.
    pub fn stride(&self) -> usize {
        (self.heads + 2 * self.room.key_heads) * self.room.head_width
    }

    /// Whether the sizes fit together.
    pub fn fits(&self) -> bool {
        let gain = |gain: &Option<&[f32]>| gain.is_none_or(|gain| gain.len() == self.room.head_width);
        self.room.key_heads > 0
            && self.room.head_width > 0
            && self.heads > 0
            && self.heads.is_multiple_of(self.room.key_heads)
            && self.rotary_width.is_multiple_of(2)
            && self.rotary_width <= self.room.head_width
            && self.window != Some(0)
            && gain(&self.query_norm)
            && gain(&self.key_norm)
    }

    fn holds(&self, reading: &Reading<'_>) -> bool {
        let format = reading.blocks.first().map(|block| block.format());
        reading.qkv.len() == reading.tokens * self.stride()
            && reading.angles.len() == reading.tokens * self.rotary_width
            && reading.blocks.len() * BLOCK_TOKENS >= reading.past + reading.tokens
            && reading.blocks.iter().all(|block| Some(block.format()) == format && block.reaches(self.room.end()))
    }

    /// Writes the new tokens' keys and values into the cache, then `[tokens][heads * head_width]` of all readings, one after
    /// the other, into `out`.
    ///
    /// # Errors
    /// [`BlockInUse`] where a block that is to be written is shared.
    ///
    /// # Panics
    /// If the sizes do not [`fit`](Self::fits), or a length is not what they say.
    pub fn run(&self, isa: Isa, readings: &mut [Reading<'_>], out: &mut [f32]) -> Result<(), BlockInUse> {
        assert!(self.fits(), "attention whose sizes do not fit together");
        assert!(readings.iter().all(|reading| self.holds(reading)), "readings are as long as they say");
        let width = self.heads * self.room.head_width;
        assert_eq!(out.len(), readings.iter().map(|reading| reading.tokens).sum::<usize>() * width);
        for reading in readings.iter_mut() {
            heads::remember(isa, self, reading)?;
        }
        let tasks = self.tasks(readings);
        let out = Shared::new(out);
        threads::split(tasks.len(), |task| {
            let task = &tasks[task];
            scratch::floats(rows::Plan::of(self).length, |memory| {
                let memory = memory.as_mut_ptr();
                // SAFETY: the lengths were checked, and no two tasks share a head of a token.
                unsafe { rows::run(isa, self, &readings[task.reading], task, memory, out.at(task.first * width)) }
            });
        });
        Ok(())
    }

    fn tasks(&self, readings: &[Reading<'_>]) -> Vec<Task> {
        let mut tasks = Vec::new();
        let mut first = 0;
        for (index, reading) in readings.iter().enumerate() {
            // The longest first: a late token sees more.
            for part in (0..reading.tokens.div_ceil(TOKENS)).rev() {
                let tokens = part * TOKENS..reading.tokens.min((part + 1) * TOKENS);
                let heads = 0..self.room.key_heads;
                tasks.extend(heads.map(|head| Task { reading: index, head, tokens: tokens.clone(), first }));
            }
            first += reading.tokens;
        }
        tasks
    }
}
