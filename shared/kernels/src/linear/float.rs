//! Layers with weights in floating point.

use std::ops::Range;

use super::finish::{Place, write_row};
use super::{Job, PANEL, Weights};
use crate::lanes::{Brain, Element, Half, Lanes, tiers};
use crate::tile::{Operands, Target, product, store_product};
use crate::{Isa, scratch};

pub(super) fn run(isa: Isa, job: &Job<'_>, x: &[f32]) {
    job.split(PANEL, |panels, rows| {
        let work = |decoded: *mut f32| {
            // SAFETY: the lengths were checked by the caller, which splits the work without overlap.
            unsafe { block(isa, job, x.as_ptr(), panels.clone(), rows.clone(), decoded) }
        };
        match job.layer.weights {
            _ if rows.len() == 1 => work(std::ptr::null_mut()),
            Weights::F32(_) => work(std::ptr::null_mut()),
            _ => scratch::floats(job.layer.inputs * PANEL, |decoded| work(decoded.as_mut_ptr())),
        }
    });
}

tiers! {
    unsafe fn block(job: &Job<'_>, x: *const f32, panels: Range<usize>, rows: Range<usize>, decoded: *mut f32) = lanes;
}

/// Some panels over some rows. `decoded` has place for a panel, where the weights are not `f32`.
#[inline(always)]
unsafe fn lanes<L: Lanes>(job: &Job<'_>, x: *const f32, panels: Range<usize>, rows: Range<usize>, decoded: *mut f32) {
    let inputs = job.layer.inputs;
    let volume = inputs * PANEL;
    if rows.len() == 1 {
        // SAFETY: the caller's promise.
        unsafe {
            match job.layer.weights {
                Weights::F32(values) => one_row::<L, f32>(job, x, values.as_ptr(), panels, rows.start),
                Weights::F16(values) => one_row::<L, Half>(job, x, values.as_ptr().cast(), panels, rows.start),
                Weights::Bf16(values) => one_row::<L, Brain>(job, x, values.as_ptr().cast(), panels, rows.start),
                Weights::Int8 { .. } | Weights::Q4(_) => {}
            }
        }
        return;
    }
    let mut sums = [0f32; 8 * PANEL];
    for panel in panels {
        // SAFETY: the weights have a volume per panel.
        let weights: *const f32 = unsafe {
            match job.layer.weights {
                Weights::F32(values) => values.as_ptr().add(panel * volume),
                Weights::F16(values) => {
                    decode::<L, false>(values.as_ptr().add(panel * volume), volume, decoded);
                    decoded
                }
                Weights::Bf16(values) => {
                    decode::<L, true>(values.as_ptr().add(panel * volume), volume, decoded);
                    decoded
                }
                Weights::Int8 { .. } | Weights::Q4(_) => return,
            }
        };
        let mut row = rows.start;
        while row < rows.end {
            let count = (rows.end - row).min(L::ROWS);
            // SAFETY: `x` has these rows, `sums` has place for eight rows of a panel, which is whole vectors.
            unsafe {
                let operands =
                    Operands { a: x.add(row * inputs), a_stride: inputs, b: weights, b_stride: PANEL, depth: inputs };
                let target = Target { out: sums.as_mut_ptr(), stride: PANEL, add: false };
                store_product::<L, f32>(count, PANEL / L::WIDTH, operands, target);
                for m in 0..count {
                    let sums = sums.as_ptr().add(m * PANEL);
                    let place = Place { first: panel * PANEL, width: PANEL, row: row + m };
                    write_row::<L>(job, place, |i| L::load(sums.add(i)));
                }
            }
            row += count;
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

/// Widens a panel from half precision, or from bfloat16, to `f32`.
#[inline(always)]
unsafe fn decode<L: Lanes, const BRAIN: bool>(from: *const u16, count: usize, to: *mut f32) {
    for i in (0..count).step_by(L::WIDTH) {
        // SAFETY: `count` is a number of whole vectors, which both have.
        unsafe {
            let from = from.add(i);
            L::store(to.add(i), if BRAIN { L::load_bf16(from) } else { L::load_f16(from) });
        }
    }
}
