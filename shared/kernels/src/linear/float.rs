//! Layers with weights in floating point.

use std::ops::Range;

use super::finish::{Place, write_row};
use super::{Job, PANEL, Weights};
use crate::lanes::{Brain, Element, Half, Lanes, tiers};
use crate::tile::{Operands, Target, product, store_product};
use crate::{Isa, scratch};

/// How many inputs are worked on before the next: as many that a tile's columns of the weights, read again for every few
/// rows, stay in the innermost cache.
const DEPTH: usize = 256;

pub(super) fn run(isa: Isa, job: &Job<'_>, x: &[f32]) {
    job.split(PANEL, |panels, rows| {
        scratch::floats((DEPTH + rows.len()) * PANEL, |memory| {
            let (weights, sums) = memory.split_at_mut(DEPTH * PANEL);
            let memory = Memory { weights: weights.as_mut_ptr(), sums: sums.as_mut_ptr() };
            // SAFETY: the lengths were checked by the caller, which splits the work without overlap.
            unsafe { block(isa, job, x.as_ptr(), panels, rows, memory) }
        });
    });
}

/// Where a thread keeps what it works on.
#[derive(Clone, Copy)]
struct Memory {
    /// `DEPTH` inputs of a panel as `f32`, the columns of a tile side by side: `[PANEL / columns][inputs][columns]`.
    weights: *mut f32,
    /// `[rows][PANEL]`
    sums: *mut f32,
}

tiers! {
    unsafe fn block(job: &Job<'_>, x: *const f32, panels: Range<usize>, rows: Range<usize>, memory: Memory) = lanes;
}

/// Some panels over some rows.
#[inline(always)]
unsafe fn lanes<L: Lanes>(job: &Job<'_>, x: *const f32, panels: Range<usize>, rows: Range<usize>, memory: Memory) {
    // SAFETY: the caller's promise.
    unsafe {
        match job.layer.weights {
            Weights::F32(values) => by_panels::<L, f32>(job, x, values.as_ptr(), panels, rows, memory),
            Weights::F16(bits) => by_panels::<L, Half>(job, x, bits.as_ptr().cast(), panels, rows, memory),
            Weights::Bf16(bits) => by_panels::<L, Brain>(job, x, bits.as_ptr().cast(), panels, rows, memory),
            Weights::Int8 { .. } | Weights::SparseInt8 { .. } | Weights::Q4(_) => {}
        }
    }
}

#[inline(always)]
unsafe fn by_panels<L: Lanes, E: Element>(
    job: &Job<'_>,
    x: *const f32,
    weights: *const E,
    panels: Range<usize>,
    rows: Range<usize>,
    memory: Memory,
) {
    if rows.len() == 1 {
        // SAFETY: the caller's promise.
        return unsafe { one_row::<L, E>(job, x, weights, panels, rows.start) };
    }
    let inputs = job.layer.inputs;
    for panel in panels {
        for first in (0..inputs).step_by(DEPTH) {
            let depth = (inputs - first).min(DEPTH);
            // SAFETY: the weights have as many rows of a panel as there are inputs; `x` and the sums have these rows.
            unsafe {
                let weights = weights.add((panel * inputs + first) * PANEL);
                let x = Rows { start: x.add(rows.start * inputs + first), stride: inputs, count: rows.len() };
                let target = Target { out: memory.sums, stride: PANEL, add: first > 0 };
                let columns = L::COLUMNS * L::WIDTH;
                // One tile of rows reads each weight once: it need not lie anywhere else.
                if rows.len() <= L::ROWS {
                    products::<L, E>(x, Columns { start: weights, stride: PANEL, tile: columns }, depth, target);
                } else {
                    gather::<L, E>(depth, weights, memory.weights);
                    let gathered = Columns { start: memory.weights, stride: columns, tile: depth * columns };
                    products::<L, f32>(x, gathered, depth, target);
                }
            }
        }
        for row in rows.clone() {
            // SAFETY: the sums have a row of a panel for each of these rows.
            unsafe {
                let sums = memory.sums.add((row - rows.start) * PANEL);
                let place = Place { first: panel * PANEL, width: PANEL, row };
                write_row::<L>(job, place, |i| L::load(sums.add(i)));
            }
        }
    }
}

/// Some panels over one row: the weights are read once, from memory, and not kept.
///
/// # Safety
/// The weights have a volume per panel, `x` has the row.
#[inline(always)]
unsafe fn one_row<L: Lanes, E: Element>(
    job: &Job<'_>,
    x: *const f32,
    weights: *const E,
    panels: Range<usize>,
    row: usize,
) {
    let inputs = job.layer.inputs;
    for panel in panels {
        // SAFETY: the caller's promise; a panel is three vectors or six.
        unsafe {
            let (x, weights) = (x.add(row * inputs), weights.add(panel * inputs * PANEL));
            let place = Place { first: panel * PANEL, width: PANEL, row };
            if L::WIDTH == PANEL / 3 {
                let [sums] = product::<L, E, 1, 3>(x, inputs, weights, PANEL, inputs);
                write_row::<L>(job, place, |i| sums[i / L::WIDTH]);
            } else {
                let [sums] = product::<L, E, 1, 6>(x, inputs, weights, PANEL, inputs);
                write_row::<L>(job, place, |i| sums[i / L::WIDTH]);
            }
        }
    }
}

/// Some inputs of every row of activations.
#[derive(Clone, Copy)]
struct Rows {
    start: *const f32,
    /// From one row to the next.
    stride: usize,
    count: usize,
}

/// Some inputs of a panel.
#[derive(Clone, Copy)]
struct Columns<E> {
    start: *const E,
    /// From one input to the next.
    stride: usize,
    /// From the columns of one tile to those of the next.
    tile: usize,
}

/// Brings some inputs of a panel into the order in which tiles read them.
#[inline(always)]
unsafe fn gather<L: Lanes, E: Element>(depth: usize, from: *const E, to: *mut f32) {
    let columns = L::COLUMNS * L::WIDTH;
    for input in 0..depth {
        for i in (0..PANEL).step_by(L::WIDTH) {
            let (tile, column) = (i / columns, i % columns);
            // SAFETY: both have `depth` inputs of a panel, which whole tiles make up.
            unsafe {
                let v = E::load::<L>(from.add(input * PANEL + i));
                L::store(to.add((tile * depth + input) * columns + column), v);
            }
        }
    }
}

/// The products of `depth` inputs with every column of a panel.
#[inline(always)]
unsafe fn products<L: Lanes, E: Element>(x: Rows, columns: Columns<E>, depth: usize, target: Target) {
    let width = L::COLUMNS * L::WIDTH;
    for tile in 0..PANEL / width {
        for row in (0..x.count).step_by(L::ROWS) {
            // SAFETY: the caller's promise.
            unsafe {
                let operands = Operands {
                    a: x.start.add(row * x.stride),
                    a_stride: x.stride,
                    b: columns.start.add(tile * columns.tile),
                    b_stride: columns.stride,
                    depth,
                };
                let target = Target { out: target.out.add(row * target.stride + tile * width), ..target };
                store_product::<L, E>((x.count - row).min(L::ROWS), L::COLUMNS, operands, target);
            }
        }
    }
}
