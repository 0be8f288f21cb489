//! Masked attention over queries, keys and values, without a matrix of all scores in memory.
//!
//! Per head, the keys are transposed once; a few queries at a time meet them block by block, and the softmax is kept up
//! over the blocks (Milakov and Gimelshein 2018; Dao et al. 2022).

use crate::Isa;
use crate::lanes::{Lanes, WIDEST, tiers};
use crate::scratch;
use crate::softmax::{soften, write_scaled};
use crate::threads::{self, Shared};
use crate::tile::{Operands, Target, store_product};

/// How many keys are met at a time.
const BLOCK: usize = 512;
/// From one row of scores to the next. Like that of the keys it is no power of two: rows would meet in the cache.
const SCORES_STRIDE: usize = BLOCK + WIDEST;
/// The score of a key that is not to be seen.
const UNSEEN: f32 = f32::MIN;
/// The score beyond the last key: less than any key's, so that a row whose every key is hidden shares among keys alone.
const NO_KEY: f32 = f32::NEG_INFINITY;

/// Rows of heads: `[batch, tokens, ..]`, a head's numbers lying side by side.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    /// The numbers.
    pub values: &'a [f32],
    /// How many tokens a row of the batch has.
    pub tokens: usize,
    /// From one token to the next.
    pub stride: usize,
    /// Where the first head starts within a token.
    pub start: usize,
}

/// Numbers added to the scores, broadcast over `[batch, heads, queries, keys]`.
#[derive(Clone, Copy, Debug)]
pub struct Mask<'a> {
    /// The numbers.
    pub values: &'a [f32],
    /// From one to the next of each dimension; 0 where it is broadcast. The last is 0 or 1.
    pub strides: [usize; 4],
}

/// Multi-head attention: `softmax(q k^T * scale + masks) v`.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// How many texts.
    pub batch: usize,
    /// How many heads.
    pub heads: usize,
    /// How many numbers a head has.
    pub width: usize,
    /// Multiplies the scores.
    pub scale: f32,
    /// Whether a query sees no later key; the last query sees the last key.
    pub causal: bool,
    /// How far from itself a query sees.
    pub window: Option<usize>,
    /// Cosines, then sines, of the angles by which a pair of numbers is turned, `[tokens][2][width / 2]`: RoPE, a pair
    /// being half a head apart.
    pub rotary: Option<&'a [f32]>,
    /// The queries.
    pub queries: Heads<'a>,
    /// The keys.
    pub keys: Heads<'a>,
    /// The values.
    pub values: Heads<'a>,
    /// Added to the scores.
    pub masks: &'a [Mask<'a>],
}

impl Attention<'_> {
    /// Whether every slice is as long as the sizes say.
    pub fn fits(&self) -> bool {
        let heads = |heads: &Heads<'_>| {
            heads.tokens > 0
                && heads.start + self.heads * self.width <= heads.stride
                && heads.values.len() >= self.batch * heads.tokens * heads.stride
        };
        let sizes = [self.batch, self.heads, self.queries.tokens, self.keys.tokens];
        let mask = |mask: &Mask<'_>| {
            let last: usize = mask.strides.iter().zip(sizes).map(|(stride, size)| stride * (size - 1)).sum();
            mask.strides[3] <= 1 && last < mask.values.len()
        };
        self.batch > 0
            && self.heads > 0
            && self.width > 0
            && heads(&self.queries)
            && heads(&self.keys)
            && heads(&self.values)
            && self.keys.tokens == self.values.tokens
            && (!self.causal && self.window.is_none() || self.keys.tokens >= self.queries.tokens)
            && self.rotary.is_none_or(|table| {
                self.width.is_multiple_of(2) && table.len() >= self.keys.tokens.max(self.queries.tokens) * self.width
            })
            && self.masks.iter().all(mask)
    }

    /// Writes `[batch, queries, heads * width]`.
    ///
    /// # Panics
    /// If the slices do not [`fit`](Self::fits), or `out` has another length.
    pub fn run(&self, isa: Isa, out: &mut [f32]) {
        assert!(self.fits(), "attention whose slices are not as long as it says");
        assert_eq!(out.len(), self.batch * self.queries.tokens * self.heads * self.width);
        let out = Shared::new(out);
        threads::split(self.batch * self.heads, |task| {
            let (batch, head) = (task / self.heads, task % self.heads);
            scratch::floats(Plan::of(self).length, |memory| {
                // SAFETY: the lengths were checked, and no two tasks share a head of a text.
                unsafe { one_head(isa, self, batch, head, memory.as_mut_ptr(), &out) }
            });
        });
    }
}

/// Where the parts of a head's work lie in its memory, in numbers.
struct Plan {
    /// `[width][keys]`
    keys: usize,
    /// From one row of transposed keys to the next.
    keys_stride: usize,
    /// `[keys][padded width]`
    values: usize,
    /// From one value to the next, and from one row of results to the next.
    width: usize,
    /// `[8][width]`
    queries: usize,
    /// `[8][SCORES_STRIDE]`
    scores: usize,
    /// `[8][padded width]`
    results: usize,
    length: usize,
}

impl Plan {
    fn of(attention: &Attention<'_>) -> Self {
        let tokens = attention.keys.tokens;
        let keys_stride = tokens.next_multiple_of(WIDEST) + WIDEST;
        let width = attention.width.next_multiple_of(WIDEST);
        let keys = 0;
        let values = keys + attention.width * keys_stride;
        let queries = values + tokens * width;
        let scores = queries + 8 * width;
        let results = scores + 8 * SCORES_STRIDE;
        Self { keys, keys_stride, values, width, queries, scores, results, length: results + 8 * width }
    }
}

tiers! {
    unsafe fn one_head(attention: &Attention<'_>, batch: usize, head: usize, memory: *mut f32, out: &Shared<'_, f32>) = lanes;
}

#[inline(always)]
unsafe fn lanes<L: Lanes>(
    attention: &Attention<'_>,
    batch: usize,
    head: usize,
    memory: *mut f32,
    out: &Shared<'_, f32>,
) {
    let plan = Plan::of(attention);
    let (tokens, total) = (attention.keys.tokens, attention.queries.tokens);
    // SAFETY: the memory is as long as the plan says, and the slices as long as was checked.
    unsafe {
        gather_keys(attention, batch, head, &plan, memory);
        gather_values(attention, batch, head, &plan, memory);
        for first in (0..total).step_by(L::ROWS) {
            let rows = (total - first).min(L::ROWS);
            gather_queries(attention, batch, head, first..first + rows, memory.add(plan.queries));
            let mut greatest = [f32::NEG_INFINITY; 8];
            let mut sums = [0f32; 8];
            let seen = seen(attention, first).start..seen(attention, first + rows - 1).end;
            let mut block = seen.start / WIDEST * WIDEST;
            let start = block;
            while block < seen.end {
                let count = (seen.end - block).min(BLOCK);
                let padded = count.next_multiple_of(L::WIDTH);
                let scores = memory.add(plan.scores);
                let operands = Operands {
                    a: memory.add(plan.queries),
                    a_stride: attention.width,
                    b: memory.add(plan.keys + block),
                    b_stride: plan.keys_stride,
                    depth: attention.width,
                };
                let target = Target { out: scores, stride: SCORES_STRIDE, add: false };
                store_product::<L, f32>(rows, padded / L::WIDTH, operands, target);
                for m in 0..rows {
                    let row = scores.add(m * SCORES_STRIDE);
                    mask_row::<L>(attention, [batch, head, first + m], block, count, padded, row);
                    let last = greatest[m];
                    let (now, sum) = soften::<L>(row, padded, last);
                    let fade = if last == f32::NEG_INFINITY { 0.0 } else { (last - now).exp() };
                    greatest[m] = now;
                    sums[m] = sums[m] * fade + sum;
                    if block > start {
                        let results = memory.add(plan.results + m * plan.width);
                        for i in (0..plan.width).step_by(L::WIDTH) {
                            L::store(results.add(i), L::mul(L::load(results.add(i)), L::splat(fade)));
                        }
                    }
                }
                let operands = Operands {
                    a: scores,
                    a_stride: SCORES_STRIDE,
                    b: memory.add(plan.values + block * plan.width),
                    b_stride: plan.width,
                    depth: count,
                };
                let target = Target { out: memory.add(plan.results), stride: plan.width, add: block > start };
                store_product::<L, f32>(rows, plan.width / L::WIDTH, operands, target);
                block += count;
            }
            for (m, sum) in sums.iter().enumerate().take(rows) {
                let place = (batch * total + first + m) * attention.heads * attention.width + head * attention.width;
                write_scaled::<L>(memory.add(plan.results + m * plan.width), 1.0 / sum, attention.width, out.at(place));
            }
        }
    }
    debug_assert!(tokens > 0);
}

/// The keys that a query sees.
fn seen(attention: &Attention<'_>, query: usize) -> std::ops::Range<usize> {
    let tokens = attention.keys.tokens;
    if !attention.causal && attention.window.is_none() {
        return 0..tokens;
    }
    let place = query + tokens - attention.queries.tokens;
    let reach = attention.window.unwrap_or(tokens);
    let end = if attention.causal { place + 1 } else { (place + 1).saturating_add(reach) };
    place.saturating_sub(reach)..end.min(tokens)
}

/// A head of a token.
///
/// # Safety
/// The slices are as long as was checked.
#[inline(always)]
unsafe fn token(heads: &Heads<'_>, batch: usize, token: usize, head: usize, width: usize) -> *const f32 {
    // SAFETY: the caller's promise.
    unsafe { heads.values.as_ptr().add((batch * heads.tokens + token) * heads.stride + heads.start + head * width) }
}

/// Number `i` of a head, turned by its place.
///
/// # Safety
/// `from` has `width` numbers, the table has this place.
#[inline(always)]
unsafe fn turned(table: Option<&[f32]>, from: *const f32, place: usize, i: usize, width: usize) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let Some(table) = table else { return *from.add(i) };
        let half = width / 2;
        let angles = table.as_ptr().add(place * width);
        let (cosine, sine) = (*angles.add(i % half), *angles.add(half + i % half));
        if i < half {
            *from.add(i) * cosine - *from.add(i + half) * sine
        } else {
            *from.add(i) * cosine + *from.add(i - half) * sine
        }
    }
}

#[inline(always)]
unsafe fn gather_keys(attention: &Attention<'_>, batch: usize, head: usize, plan: &Plan, memory: *mut f32) {
    let (tokens, width) = (attention.keys.tokens, attention.width);
    // SAFETY: the memory has `width` rows of padded tokens for the keys.
    unsafe {
        let to = memory.add(plan.keys);
        for place in 0..tokens {
            let from = token(&attention.keys, batch, place, head, width);
            for i in 0..width {
                *to.add(i * plan.keys_stride + place) = turned(attention.rotary, from, place, i, width);
            }
        }
        for place in tokens..plan.keys_stride {
            for i in 0..width {
                *to.add(i * plan.keys_stride + place) = 0.0;
            }
        }
    }
}

#[inline(always)]
unsafe fn gather_values(attention: &Attention<'_>, batch: usize, head: usize, plan: &Plan, memory: *mut f32) {
    // SAFETY: the memory has a padded row for each value.
    unsafe {
        for place in 0..attention.keys.tokens {
            let to = memory.add(plan.values + place * plan.width);
            to.copy_from_nonoverlapping(token(&attention.values, batch, place, head, attention.width), attention.width);
            for i in attention.width..plan.width {
                *to.add(i) = 0.0;
            }
        }
    }
}

#[inline(always)]
unsafe fn gather_queries(
    attention: &Attention<'_>,
    batch: usize,
    head: usize,
    queries: std::ops::Range<usize>,
    memory: *mut f32,
) {
    let width = attention.width;
    let offset = attention.keys.tokens.saturating_sub(attention.queries.tokens);
    let first = queries.start;
    for query in queries {
        // SAFETY: the memory has a row of `width` for each of these queries.
        unsafe {
            let from = token(&attention.queries, batch, query, head, width);
            let to = memory.add((query - first) * width);
            for i in 0..width {
                *to.add(i) = turned(attention.rotary, from, query + offset, i, width) * attention.scale;
            }
        }
    }
}

/// Adds the masks to a row of scores, and hides what the query does not see.
///
/// # Safety
/// The row has `padded` numbers; the masks are as long as was checked.
#[inline(always)]
unsafe fn mask_row<L: Lanes>(
    attention: &Attention<'_>,
    [batch, head, query]: [usize; 3],
    block: usize,
    count: usize,
    padded: usize,
    row: *mut f32,
) {
    for mask in attention.masks {
        let [to_batch, to_head, to_query, to_key] = mask.strides;
        let start = batch * to_batch + head * to_head + query * to_query + block * to_key;
        // SAFETY: the caller's promise.
        unsafe {
            let from = mask.values.as_ptr().add(start);
            for i in (0..count).step_by(L::WIDTH) {
                let v = match to_key {
                    0 => L::splat(*from),
                    _ if count - i >= L::WIDTH => L::load(from.add(i)),
                    _ => L::load_part(from.add(i), count - i),
                };
                L::store(row.add(i), L::max(L::splat(UNSEEN), L::add(L::load(row.add(i)), v)));
            }
        }
    }
    let seen = seen(attention, query);
    let set = |from: usize, to: usize, score: f32| {
        for i in from..to {
            // SAFETY: within the row.
            unsafe { *row.add(i) = score }
        }
    };
    set(0, seen.start.saturating_sub(block).min(count), UNSEEN);
    set(seen.end.saturating_sub(block).min(count), count, UNSEEN);
    set(count, padded, NO_KEY);
}

#[cfg(test)]
mod tests;
