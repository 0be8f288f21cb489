//! Layers with 4-bit weights: quantize blocks of the rows, multiply bytes, scale and add the sums of blocks.

use std::ops::Range;

use super::Job;
use super::blocks::{BLOCK, BYTES, PANEL};
use super::finish::{Place, write_row};
use super::nibbles::{self, Dot};
use crate::lanes::{Lanes, Portable};
use crate::threads::{self, Shared};
use crate::{Isa, scratch};

/// The rows of activations as bytes: `[rows][blocks][BLOCK]`, each block with its scale and its shift.
struct Quantized<'a> {
    levels: &'a [i8],
    scales: &'a [f32],
    shifts: &'a [i32],
    blocks: usize,
}

/// How many numbers a thread quantizes at once.
const CHUNK: usize = 16 * 1024;

pub(super) fn run(isa: Isa, job: &Job<'_>, x: &[f32], weights: &[u8]) {
    let inputs = job.layer.inputs;
    let blocks = inputs.div_ceil(BLOCK);
    let count = job.rows * blocks;
    scratch::bytes(count * (BLOCK + 8), |memory| {
        let (levels, terms) = memory.split_at_mut(count * BLOCK);
        let (scales, shifts) = terms.split_at_mut(count * 4);
        let levels = cast_mut::<i8>(levels);
        let (scales, shifts) = (cast_mut::<f32>(scales), cast_mut::<i32>(shifts));
        {
            let (levels, scales, shifts) = (Shared::new(levels), Shared::new(scales), Shared::new(shifts));
            let per_chunk = (CHUNK / inputs).max(1);
            threads::split(job.rows.div_ceil(per_chunk), |chunk| {
                for row in chunk * per_chunk..job.rows.min((chunk + 1) * per_chunk) {
                    let first = row * blocks;
                    let to =
                        Levels { levels: levels.at(first * BLOCK), scales: scales.at(first), shifts: shifts.at(first) };
                    let factors = job.layer.factors();
                    // SAFETY: the lengths were checked by the caller; no two chunks share a row.
                    unsafe { quantize(isa, x[row * inputs..].as_ptr(), factors, inputs, to) }
                }
            });
        }
        let quantized = Quantized { levels, scales, shifts, blocks };
        job.split(PANEL, |panels, rows| {
            // SAFETY: the lengths were checked by the caller, which splits the work without overlap.
            unsafe { block(isa, job, &quantized, weights, panels, rows) }
        });
    });
}

/// Bytes as numbers of another type.
fn cast_mut<T>(bytes: &mut [u8]) -> &mut [T] {
    // SAFETY: called for numbers that any bits are one of; what is no whole one is left out.
    let (before, numbers, _) = unsafe { bytes.align_to_mut::<T>() };
    debug_assert!(before.is_empty());
    numbers
}

/// Where a quantized row goes.
#[derive(Clone, Copy)]
struct Levels {
    levels: *mut i8,
    scales: *mut f32,
    shifts: *mut i32,
}

/// Defines a function that runs a kernel generic over vectors and dot products with those of an [`Isa`].
macro_rules! dots {
    (unsafe fn $name:ident($($arg:ident: $kind:ty),* $(,)?) = $kernel:ident;) => {
        /// # Safety
        /// The instruction set is available; else as the kernel.
        unsafe fn $name(isa: Isa, $($arg: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            {
                use crate::lanes;

                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
                unsafe fn avx512($($arg: $kind),*) {
                    // SAFETY: the caller's promise; the features are enabled here.
                    unsafe { $kernel::<lanes::Avx512, nibbles::Avx512>($($arg),*) }
                }
                #[target_feature(enable = "avxvnni,avx2,fma,f16c")]
                unsafe fn avx_vnni($($arg: $kind),*) {
                    // SAFETY: as above.
                    unsafe { $kernel::<lanes::Avx2, nibbles::AvxVnni>($($arg),*) }
                }
                #[target_feature(enable = "avx2,fma,f16c")]
                unsafe fn avx2($($arg: $kind),*) {
                    // SAFETY: as above.
                    unsafe { $kernel::<lanes::Avx2, nibbles::Avx2>($($arg),*) }
                }
                match isa {
                    // SAFETY: the caller's promise, which covers the instruction set.
                    Isa::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    Isa::AvxVnni => return unsafe { avx_vnni($($arg),*) },
                    // SAFETY: as above.
                    Isa::Avx2 => return unsafe { avx2($($arg),*) },
                    Isa::Portable => {}
                }
            }
            let _ = isa;
            // SAFETY: the caller's promise; plain Rust needs no feature.
            unsafe { $kernel::<Portable, nibbles::Plain>($($arg),*) }
        }
    };
}

dots! { unsafe fn quantize(x: *const f32, factors: *const f32, count: usize, to: Levels) = quantize_lanes; }
dots! { unsafe fn block(job: &Job<'_>, x: &Quantized<'_>, weights: &[u8], panels: Range<usize>, rows: Range<usize>) = tiles; }

/// Quantizes a row of `count` numbers, each times its factor, block by block, symmetrically: the number farthest from zero
/// becomes 127 or -127.
///
/// # Safety
/// `x` has `count` numbers, and `factors` too unless it is null; `to` has place for as many whole blocks; the instruction set is available.
#[inline(always)]
unsafe fn quantize_lanes<L: Lanes, D: Dot>(x: *const f32, factors: *const f32, count: usize, to: Levels) {
    for block in 0..count.div_ceil(BLOCK) {
        let rest = (count - block * BLOCK).min(BLOCK);
        // SAFETY: the caller's promise; a block is whole vectors.
        unsafe {
            let mut copy = [0f32; BLOCK];
            let mut from = x.add(block * BLOCK);
            if rest < BLOCK || !factors.is_null() {
                copy.as_mut_ptr().copy_from_nonoverlapping(from, rest);
                if !factors.is_null() {
                    let factors = factors.add(block * BLOCK);
                    copy.iter_mut().take(rest).enumerate().for_each(|(i, x)| *x *= *factors.add(i));
                }
                from = copy.as_ptr();
            }
            let (mut low, mut high) = (L::splat(0.0), L::splat(0.0));
            for i in (0..BLOCK).step_by(L::WIDTH) {
                let v = L::load(from.add(i));
                low = L::min(low, v);
                high = L::max(high, v);
            }
            let farthest = L::greatest(L::max(high, L::sub(L::splat(0.0), low)));
            let scale = farthest / 127.0;
            let factor = match scale {
                scale if scale.is_normal() => 1.0 / scale,
                _ => 0.0,
            };
            let levels = to.levels.add(block * BLOCK);
            for i in (0..BLOCK).step_by(L::WIDTH) {
                L::store_i8(levels.add(i), L::mul(L::load(from.add(i)), L::splat(factor)));
            }
            *to.scales.add(block) = if scale.is_finite() { scale } else { f32::NAN };
            *to.shifts.add(block) = D::shift(levels);
        }
    }
}

/// Some panels over some rows.
///
/// # Safety
/// The instruction set is available; the job's pointers cover the panels and rows, which no other thread writes.
#[inline(always)]
unsafe fn tiles<L: Lanes, D: Dot>(
    job: &Job<'_>,
    x: &Quantized<'_>,
    weights: &[u8],
    panels: Range<usize>,
    rows: Range<usize>,
) {
    let mut sums: nibbles::Sums = [0.0; 8 * PANEL];
    for panel in panels {
        let mut row = rows.start;
        while row < rows.end {
            let count = (rows.end - row).min(D::ROWS);
            // SAFETY: the levels hold these rows, the weights this panel.
            unsafe {
                let operands = nibbles::Operands {
                    levels: x.levels.as_ptr().add(row * x.blocks * BLOCK),
                    scales: x.scales.as_ptr().add(row * x.blocks),
                    shifts: x.shifts.as_ptr().add(row * x.blocks),
                    panel: weights.as_ptr().add(panel * x.blocks * BYTES),
                    blocks: x.blocks,
                };
                match count {
                    8 if D::ROWS >= 8 => D::tile::<8>(operands, &mut sums),
                    7 if D::ROWS >= 8 => D::tile::<7>(operands, &mut sums),
                    6 if D::ROWS >= 6 => D::tile::<6>(operands, &mut sums),
                    5 if D::ROWS >= 6 => D::tile::<5>(operands, &mut sums),
                    4 => D::tile::<4>(operands, &mut sums),
                    3 => D::tile::<3>(operands, &mut sums),
                    2 => D::tile::<2>(operands, &mut sums),
                    _ => D::tile::<1>(operands, &mut sums),
                }
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
