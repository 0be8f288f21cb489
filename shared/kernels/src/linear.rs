//! Linear layers: `activation(x W^T + b) + residual`, with weights in several formats.
//!
//! Weights lie in panels of [`PANEL`] outputs, the input index running slowest within a panel, so that a few rows of
//! activations stay in registers while a panel streams by. One layout serves every instruction set:
//! - `f32`, `f16`, `bf16`: `[panel][input][PANEL]`;
//! - `int8`: `[panel][input / 4][PANEL][4]`, each output with its scale; rows of activations are quantized on the fly to
//!   unsigned bytes, each over its own range or all over a fixed one, and the products are summed exactly in 32 bits;
//! - `int8` without its empty blocks: panels of [`sparse::PANEL`] outputs, see [`sparse`];
//! - 4-bit: `[panel][block]` of panels of [`blocks::PANEL`] outputs and blocks of [`blocks::BLOCK`] inputs, see
//!   [`blocks`]; blocks of activations are quantized on the fly to signed bytes, each with its own scale.
//!
//! What is missing to a whole panel, to four inputs or to a block is zeros.

pub mod blocks;
mod dot;
mod finish;
mod float;
mod gather;
mod int8;
mod nibbles;
pub mod pack;
mod q4;
mod quantize;
pub mod sparse;

#[cfg(test)]
mod tests;

use crate::threads::{self, Shared};
use crate::{Activation, Isa};

/// How many outputs a panel has.
pub const PANEL: usize = 48;
/// How many inputs of an int8 panel lie side by side.
pub const GROUP: usize = 4;
/// How many rows are worked on before the next panel: their activations stay in the cache.
const BLOCK: usize = 128;
/// The least multiplications that are worth another thread.
const GRAIN: usize = 1 << 20;
/// The least bytes of weights that are, where a few rows wait for them rather than for the arithmetic.
const GRAIN_BYTES: usize = 1 << 17;

/// The most inputs an int8 layer may have: its sums stay within 32 bits, and those of its weights within an `f32`.
pub const MAX_INT8_INPUTS: usize = 1 << 16;

/// The weights of a layer, in panels.
#[derive(Clone, Copy, Debug)]
pub enum Weights<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Half precision, as bits.
    F16(&'a [u16]),
    /// bfloat16, as bits.
    Bf16(&'a [u16]),
    /// Whole numbers from -127 to 127.
    Int8 {
        /// The numbers.
        values: &'a [i8],
        /// What each output's are multiplied with; padded to whole panels.
        scales: &'a [f32],
        /// The sum of each output's, a whole number; padded to whole panels.
        sums: &'a [f32],
    },
    /// Whole numbers from -127 to 127 whose empty blocks are left out.
    SparseInt8 {
        /// The blocks in which a number is not zero.
        blocks: sparse::Blocks<'a>,
        /// As those of `Int8`.
        scales: &'a [f32],
        /// As those of `Int8`.
        sums: &'a [f32],
    },
    /// Whole numbers from -8 to 7 in blocks, as [`blocks`] lays them out.
    Q4(&'a [u8]),
}

/// A linear layer.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    /// The length of a row of `x`.
    pub inputs: usize,
    /// The length of a row of the result.
    pub outputs: usize,
    /// The weights.
    pub weights: Weights<'a>,
    /// Added to each output; padded to whole panels.
    pub bias: &'a [f32],
    /// Applied to the sum.
    pub activation: Option<Activation>,
    /// What each number of a row of `x` is multiplied with before the row is quantized; empty for nothing, and always for
    /// weights that are floating-point numbers.
    pub factors: &'a [f32],
    /// What int8's rows of `x` are quantized over; each row over its own range where there is none.
    pub range: Option<Range>,
}

/// A range of numbers that has zero in it. What lies beyond counts as its end, and what is no number as its low one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    low: f32,
    high: f32,
}

impl Range {
    /// From the least to the greatest number.
    ///
    /// # Errors
    /// Ends that are not finite, without zero between them, or both zero.
    pub fn new(low: f32, high: f32) -> Result<Self, String> {
        let width = high - low;
        if low <= 0.0 && high >= 0.0 && width.is_finite() && width >= f32::MIN_POSITIVE * 256.0 {
            return Ok(Self { low, high });
        }
        Err(format!("expected a range with zero in it, got one from {low} to {high}"))
    }

    /// The least number.
    pub fn low(self) -> f32 {
        self.low
    }

    /// The greatest.
    pub fn high(self) -> f32 {
        self.high
    }
}

/// How many elements the weights of a layer have.
pub fn volume(inputs: usize, outputs: usize, int8: bool) -> usize {
    let depth = if int8 { inputs.next_multiple_of(GROUP) } else { inputs };
    outputs.next_multiple_of(PANEL) * depth
}

impl Weights<'_> {
    /// How many bytes they have, without terms.
    fn bytes(&self) -> usize {
        match self {
            Self::F32(values) => size_of_val(*values),
            Self::F16(bits) | Self::Bf16(bits) => size_of_val(*bits),
            Self::Int8 { values, .. } => values.len(),
            Self::SparseInt8 { blocks, .. } => blocks.values.len(),
            Self::Q4(bytes) => bytes.len(),
        }
    }

    /// Whether they are those of a layer of these sizes.
    pub fn fit(&self, inputs: usize, outputs: usize) -> bool {
        let padded = outputs.next_multiple_of(PANEL);
        let volume = |int8| volume(inputs, outputs, int8);
        inputs > 0
            && outputs > 0
            && match *self {
                Self::F32(values) => values.len() == volume(false),
                Self::F16(values) | Self::Bf16(values) => values.len() == volume(false),
                Self::Int8 { values, scales, sums } => {
                    inputs <= MAX_INT8_INPUTS
                        && values.len() == volume(true)
                        && scales.len() == padded
                        && sums.len() == padded
                }
                Self::SparseInt8 { blocks, scales, sums } => {
                    blocks.fit(inputs, outputs) && scales.len() == padded && sums.len() == padded
                }
                Self::Q4(bytes) => bytes.len() == blocks::volume(inputs, outputs),
            }
    }
}

impl Linear<'_> {
    /// Whether every slice is as long as the sizes say.
    pub fn fits(&self) -> bool {
        let is_int8 = matches!(self.weights, Weights::Int8 { .. } | Weights::SparseInt8 { .. });
        let quantizes = is_int8 || matches!(self.weights, Weights::Q4(_));
        self.weights.fit(self.inputs, self.outputs)
            && self.bias.len() == self.outputs.next_multiple_of(PANEL)
            && (self.factors.is_empty() || (quantizes && self.factors.len() == self.inputs))
            && (self.range.is_none() || is_int8)
    }

    /// `out = activation(x W^T + b) + residual`, for as many rows as `x` has.
    ///
    /// # Panics
    /// If the layer does not [`fit`](Self::fits), or a length is not that of whole rows.
    pub fn run(&self, isa: Isa, x: &[f32], residual: Option<&[f32]>, out: &mut [f32]) {
        assert!(self.fits(), "a layer whose slices are not as long as it says");
        let rows = x.len() / self.inputs;
        assert!(x.len() == rows * self.inputs && out.len() == rows * self.outputs, "whole rows");
        assert!(residual.is_none_or(|residual| residual.len() == out.len()), "the residual is as long as the result");
        let job = Job {
            layer: self,
            rows,
            residual: residual.map_or(std::ptr::null(), <[f32]>::as_ptr),
            out: Shared::new(out),
        };
        match self.weights {
            Weights::Int8 { values, scales, sums } => int8::run(isa, &job, x, int8::Operands { values, scales, sums }),
            Weights::SparseInt8 { blocks, scales, sums } => {
                gather::run(isa, &job, x, gather::Operands { blocks, scales, sums });
            }
            Weights::Q4(bytes) => q4::run(isa, &job, x, bytes),
            Weights::F32(_) | Weights::F16(_) | Weights::Bf16(_) => float::run(isa, &job, x),
        }
    }

    /// Where the factors are, or null.
    fn factors(&self) -> *const f32 {
        if self.factors.is_empty() { std::ptr::null() } else { self.factors.as_ptr() }
    }
}

/// What the parts of a layer's work share.
struct Job<'a> {
    layer: &'a Linear<'a>,
    rows: usize,
    /// As long as `out`, or null.
    residual: *const f32,
    out: Shared<'a, f32>,
}

// SAFETY: the residual is only read, and outlives the job as the caller's borrow does.
unsafe impl Sync for Job<'_> {}

impl Job<'_> {
    /// Runs `work(panels, rows)` over every panel, `width` outputs wide, and every row, on several threads where that
    /// pays.
    fn split(&self, width: usize, work: impl Fn(std::ops::Range<usize>, std::ops::Range<usize>) + Sync + Send) {
        let panels = self.layer.outputs.div_ceil(width);
        for start in (0..self.rows).step_by(BLOCK) {
            let rows = start..self.rows.min(start + BLOCK);
            let products = rows.len() * self.layer.inputs * width;
            let bytes = self.layer.weights.bytes();
            let parts = (panels * products / GRAIN).max(bytes / GRAIN_BYTES).clamp(1, 4 * threads::count()).min(panels);
            if parts == 1 || threads::count() == 1 {
                work(0..panels, rows);
                continue;
            }
            threads::split(parts, |part| work(panels * part / parts..panels * (part + 1) / parts, rows.clone()));
        }
    }
}
