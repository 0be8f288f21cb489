//! A few rows of queries against a head of the cache.

use std::ops::Range;

use super::heads::{Turn, turn};
use super::{CausalAttention, Reading, TOKENS, Task};
use crate::cache::{BLOCK_TOKENS, Block, Cached, scales_of};
use crate::lanes::{Half, Lanes, WIDEST, tiers};
use crate::math::tanh;
use crate::softmax::{soften, write_scaled};
use crate::tile::{Operands, Target, store_product};

/// How many blocks are met at a time.
const BLOCKS: usize = 16;
/// From one row of scores to the next; no power of two, or rows would meet in the cache.
const SCORES_STRIDE: usize = BLOCKS * BLOCK_TOKENS + WIDEST;
/// The score of a key that is not to be seen.
const UNSEEN: f32 = f32::MIN;
/// The most rows at a time.
const ROWS: usize = 8;

/// Where the parts of the work lie in its memory, in numbers.
pub(super) struct Plan {
    /// `[8][padded width]`
    queries: usize,
    /// `[8][SCORES_STRIDE]`
    scores: usize,
    /// `[8][padded width]`
    results: usize,
    width: usize,
    pub(super) length: usize,
}

impl Plan {
    pub(super) fn of(attention: &CausalAttention<'_>) -> Self {
        let width = attention.room.value_stride();
        let queries = 0;
        let scores = queries + ROWS * width;
        let results = scores + ROWS * SCORES_STRIDE;
        Self { queries, scores, results, width, length: results + ROWS * width }
    }
}

tiers! {
    /// # Safety
    /// The memory is as long as the plan says; `out` has a row for each of the reading's tokens; the lengths were checked.
    pub(super) unsafe fn run(
        attention: &CausalAttention<'_>,
        reading: &Reading<'_>,
        task: &Task,
        memory: *mut f32,
        out: *mut f32,
    ) = lanes;
}

#[inline(always)]
unsafe fn lanes<L: Lanes>(
    attention: &CausalAttention<'_>,
    reading: &Reading<'_>,
    task: &Task,
    memory: *mut f32,
    out: *mut f32,
) {
    // SAFETY: the caller's promise; all blocks have one format.
    unsafe {
        match reading.blocks.first().map(|block| &**block) {
            Some(Block::F32(_)) => all::<L, f32>(attention, reading, task, memory, out),
            Some(Block::F16(_)) => all::<L, Half>(attention, reading, task, memory, out),
            Some(Block::Int8 { .. }) => all::<L, i8>(attention, reading, task, memory, out),
            None => {}
        }
    }
}

#[inline(always)]
unsafe fn all<L: Lanes, E: Cached>(
    attention: &CausalAttention<'_>,
    reading: &Reading<'_>,
    task: &Task,
    memory: *mut f32,
    out: *mut f32,
) {
    debug_assert!(task.tokens.len() <= TOKENS);
    let (group, width) = (attention.group(), attention.room.head_width);
    let plan = Plan::of(attention);
    let total = task.tokens.len() * group;
    for first in (0..total).step_by(L::ROWS) {
        let rows = Rows { first, count: (total - first).min(L::ROWS), group };
        // SAFETY: the caller's promise.
        unsafe {
            for m in 0..rows.count {
                let token = task.tokens.start + rows.token(m);
                let head = task.head * group + rows.head(m);
                let how = Turn {
                    gain: attention.query_norm.map_or(std::ptr::null(), <[f32]>::as_ptr),
                    epsilon: attention.epsilon,
                    angles: reading.angles.as_ptr().add(token * attention.rotary_width),
                    rotary_width: attention.rotary_width,
                    scale: attention.scale,
                };
                let from = reading.qkv.as_ptr().add(token * attention.stride() + head * width);
                turn::<L>(how, from, width, memory.add(plan.queries + m * plan.width));
            }
            let sums = meet::<L, E>(attention, reading, task, &rows, &plan, memory);
            for (m, sum) in sums.into_iter().enumerate().take(rows.count) {
                let token = task.tokens.start + rows.token(m);
                let head = task.head * group + rows.head(m);
                let to = out.add((token * attention.heads + head) * width);
                write_scaled::<L>(memory.add(plan.results + m * plan.width), 1.0 / sum, width, to);
            }
        }
    }
}

/// Some rows of a task: queries of the heads of a group, token after token.
struct Rows {
    first: usize,
    count: usize,
    group: usize,
}

impl Rows {
    /// The token of a row, counted from the task's first.
    fn token(&self, row: usize) -> usize {
        (self.first + row) / self.group
    }

    /// The head of a row within its group.
    fn head(&self, row: usize) -> usize {
        (self.first + row) % self.group
    }
}

/// The keys that a token sees.
fn seen(attention: &CausalAttention<'_>, place: usize) -> Range<usize> {
    let end = place + 1;
    attention.window.map_or(0, |window| end.saturating_sub(window))..end
}

/// The rows' weighted values, and the sums of their weights.
///
/// # Safety
/// As of [`run`].
#[inline(always)]
unsafe fn meet<L: Lanes, E: Cached>(
    attention: &CausalAttention<'_>,
    reading: &Reading<'_>,
    task: &Task,
    rows: &Rows,
    plan: &Plan,
    memory: *mut f32,
) -> [f32; ROWS] {
    let room = attention.room;
    let place = |m: usize| reading.past + task.tokens.start + rows.token(m);
    let start = seen(attention, place(0)).start;
    let end = place(rows.count - 1) + 1;
    let mut greatest = [f32::NEG_INFINITY; ROWS];
    let mut sums = [0f32; ROWS];
    let first = start / BLOCK_TOKENS;
    let last = end.div_ceil(BLOCK_TOKENS);
    for from in (first..last).step_by(BLOCKS) {
        let blocks = from..last.min(from + BLOCKS);
        // SAFETY: the caller's promise: all blocks up to the last token's are there.
        unsafe {
            let scores = memory.add(plan.scores);
            for (index, block) in reading.blocks[blocks.clone()].iter().enumerate() {
                let operands = Operands {
                    a: memory.add(plan.queries),
                    a_stride: plan.width,
                    b: E::of(block).add(room.keys(task.head)),
                    b_stride: BLOCK_TOKENS,
                    depth: room.head_width,
                };
                let target = Target { out: scores.add(index * BLOCK_TOKENS), stride: SCORES_STRIDE, add: false };
                store_product::<L, E>(rows.count, BLOCK_TOKENS / L::WIDTH, operands, target);
                if E::SCALED {
                    weigh::<L>(target.out, rows.count, scales_of(block).add(room.key_scales(task.head)));
                }
            }
            let count = blocks.len() * BLOCK_TOKENS;
            for m in 0..rows.count {
                let row = scores.add(m * SCORES_STRIDE);
                if let Some(cap) = attention.softcap {
                    bend::<L>(row, count, cap);
                }
                hide(row, from * BLOCK_TOKENS, count, seen(attention, place(m)));
                let before = greatest[m];
                let (now, sum) = soften::<L>(row, count, before);
                let fade = if before == f32::NEG_INFINITY { 0.0 } else { (before - now).exp() };
                greatest[m] = now;
                sums[m] = sums[m] * fade + sum;
                if from > first && fade != 1.0 {
                    let results = memory.add(plan.results + m * plan.width);
                    for i in (0..plan.width).step_by(L::WIDTH) {
                        L::store(results.add(i), L::mul(L::load(results.add(i)), L::splat(fade)));
                    }
                }
            }
            for (index, block) in reading.blocks[blocks.clone()].iter().enumerate() {
                let weights = scores.add(index * BLOCK_TOKENS);
                if E::SCALED {
                    weigh::<L>(weights, rows.count, scales_of(block).add(room.value_scales(task.head)));
                }
                let operands = Operands {
                    a: weights,
                    a_stride: SCORES_STRIDE,
                    b: E::of(block).add(room.values(task.head)),
                    b_stride: plan.width,
                    depth: (end - (from + index) * BLOCK_TOKENS).min(BLOCK_TOKENS),
                };
                let add = from + index > first;
                let target = Target { out: memory.add(plan.results), stride: plan.width, add };
                store_product::<L, E>(rows.count, plan.width / L::WIDTH, operands, target);
            }
        }
    }
    sums
}

/// Multiplies the rows' numbers for the tokens of a block by the tokens' scales.
///
/// # Safety
/// The contract of [`Lanes`]; there are `count` rows, [`SCORES_STRIDE`] apart, and a scale for each token of a block.
#[inline(always)]
unsafe fn weigh<L: Lanes>(rows: *mut f32, count: usize, scales: *const f32) {
    for i in (0..BLOCK_TOKENS).step_by(L::WIDTH) {
        // SAFETY: the caller's promise.
        unsafe {
            let scale = L::load(scales.add(i));
            for m in 0..count {
                let number = rows.add(m * SCORES_STRIDE + i);
                L::store(number, L::mul(L::load(number), scale));
            }
        }
    }
}

/// `cap * tanh(score / cap)`
///
/// # Safety
/// The row has `count` numbers, whole vectors.
#[inline(always)]
unsafe fn bend<L: Lanes>(row: *mut f32, count: usize, cap: f32) {
    for i in (0..count).step_by(L::WIDTH) {
        // SAFETY: the caller's promise.
        unsafe {
            let bent = tanh::<L>(L::mul(L::load(row.add(i)), L::splat(1.0 / cap)));
            L::store(row.add(i), L::mul(bent, L::splat(cap)));
        }
    }
}

/// Hides the keys that a row does not see, the row's first key being `start`.
///
/// # Safety
/// The row has `count` numbers.
#[inline(always)]
unsafe fn hide(row: *mut f32, start: usize, count: usize, seen: Range<usize>) {
    let before = seen.start.saturating_sub(start).min(count);
    let after = seen.end.saturating_sub(start).min(count);
    for i in (0..before).chain(after..count) {
        // SAFETY: the caller's promise.
        unsafe { *row.add(i) = UNSEEN }
    }
}
