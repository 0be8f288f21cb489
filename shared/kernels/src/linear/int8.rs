//! Layers with int8 weights: quantize the rows, multiply bytes, scale the sums.

use std::ops::Range;

use super::dot::{self, Dot};
use super::finish::{Place, write_row};
use super::quantize::{self, Row, RowScale};
use super::{GROUP, Job, PANEL};
use crate::lanes::{Lanes, Portable};
use crate::threads::{self, Shared};
use crate::{Isa, scratch};

/// The weights of a layer, in panels.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    pub(super) values: &'a [i8],
    pub(super) scales: &'a [f32],
    pub(super) sums: &'a [f32],
}

/// The rows of activations as bytes.
pub(super) struct Quantized<'a> {
    /// Rows of whole groups, what is missing to one left over from before.
    pub(super) bytes: &'a [u8],
    pub(super) stride: usize,
    pub(super) scales: &'a [RowScale],
}

/// How many numbers a thread quantizes at once.
const CHUNK: usize = 32 * 1024;

pub(super) fn run(isa: Isa, job: &Job<'_>, x: &[f32], weights: Operands<'_>) {
    quantized(isa, job, x, |x| {
        job.split(PANEL, |panels, rows| {
            // SAFETY: the lengths were checked by the caller, which splits the work without overlap.
            unsafe { block(isa, job, x, weights, panels, rows) }
        });
    });
}

/// Quantizes the rows of a job, whose lengths were checked, and does the work with them.
pub(super) fn quantized(isa: Isa, job: &Job<'_>, x: &[f32], work: impl FnOnce(&Quantized<'_>)) {
    let inputs = job.layer.inputs;
    let stride = inputs.next_multiple_of(GROUP);
    scratch::bytes(job.rows * stride, |bytes| {
        let mut scales = vec![RowScale::default(); job.rows];
        let (shared, shared_scales) = (Shared::new(bytes), Shared::new(&mut scales));
        let per_chunk = (CHUNK / inputs).max(1);
        threads::split(job.rows.div_ceil(per_chunk), |chunk| {
            let factors = job.layer.factors();
            for row in chunk * per_chunk..job.rows.min((chunk + 1) * per_chunk) {
                // SAFETY: the lengths were checked by the caller; no two chunks share a row.
                unsafe {
                    let (out, scale) = (shared.at(row * stride), shared_scales.at(row));
                    let row = Row { x: x[row * inputs..].as_ptr(), count: inputs, factors };
                    match job.layer.range {
                        Some(range) => quantize::over(isa, row, range, isa.levels(), out, scale),
                        None => quantize::over_its_own(isa, row, isa.levels(), out, scale),
                    }
                }
            }
        });
        work(&Quantized { bytes, stride, scales: &scales });
    });
}

/// Some panels over some rows.
///
/// # Safety
/// The instruction set is available; the job's pointers cover the panels and rows, which no other thread writes.
unsafe fn block(
    isa: Isa,
    job: &Job<'_>,
    x: &Quantized<'_>,
    weights: Operands<'_>,
    panels: Range<usize>,
    rows: Range<usize>,
) {
    #[cfg(target_arch = "x86_64")]
    {
        use crate::lanes;

        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
        unsafe fn avx512(job: &Job<'_>, x: &Quantized<'_>, w: Operands<'_>, panels: Range<usize>, rows: Range<usize>) {
            // SAFETY: the caller's promise.
            unsafe { tiles::<lanes::Avx512, dot::Avx512>(job, x, w, panels, rows) }
        }
        #[target_feature(enable = "avxvnni,avx2,fma,f16c")]
        unsafe fn avx_vnni(
            job: &Job<'_>,
            x: &Quantized<'_>,
            w: Operands<'_>,
            panels: Range<usize>,
            rows: Range<usize>,
        ) {
            // SAFETY: the caller's promise.
            unsafe { tiles::<lanes::Avx2, dot::AvxVnni>(job, x, w, panels, rows) }
        }
        #[target_feature(enable = "avx2,fma,f16c")]
        unsafe fn avx2(job: &Job<'_>, x: &Quantized<'_>, w: Operands<'_>, panels: Range<usize>, rows: Range<usize>) {
            // SAFETY: the caller's promise.
            unsafe { tiles::<lanes::Avx2, dot::Avx2>(job, x, w, panels, rows) }
        }
        match isa {
            // SAFETY: the caller's promise.
            Isa::Avx512 => return unsafe { avx512(job, x, weights, panels, rows) },
            // SAFETY: the caller's promise.
            Isa::AvxVnni => return unsafe { avx_vnni(job, x, weights, panels, rows) },
            // SAFETY: the caller's promise.
            Isa::Avx2 => return unsafe { avx2(job, x, weights, panels, rows) },
            Isa::Portable => {}
        }
    }
    let _ = isa;
    // SAFETY: the caller's promise.
    unsafe { tiles::<Portable, dot::Plain>(job, x, weights, panels, rows) }
}

#[inline(always)]
unsafe fn tiles<L: Lanes, D: Dot>(
    job: &Job<'_>,
    x: &Quantized<'_>,
    weights: Operands<'_>,
    panels: Range<usize>,
    rows: Range<usize>,
) {
    let groups = x.stride / GROUP;
    let mut sums: dot::Sums = [0; 8 * PANEL];
    for panel in panels {
        let mut row = rows.start;
        while row < rows.end {
            let count = (rows.end - row).min(D::ROWS);
            // SAFETY: the bytes hold these rows, the weights this panel.
            unsafe {
                let operands = dot::Operands {
                    rows: x.bytes.as_ptr().add(row * x.stride),
                    stride: x.stride,
                    panel: weights.values.as_ptr().add(panel * groups * GROUP * PANEL),
                    groups,
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
                    let RowScale { scale, zero_point } = x.scales[row + m];
                    let scale = L::splat(scale);
                    let (sums, first) = (sums.as_ptr().add(m * PANEL), panel * PANEL);
                    write_row::<L>(job, Place { first, width: PANEL, row: row + m }, |i| {
                        let terms = first + i;
                        let centred = L::centre(sums.add(i), weights.sums.as_ptr().add(terms), zero_point);
                        L::mul(centred, L::mul(scale, L::load(weights.scales.as_ptr().add(terms))))
                    });
                }
            }
            row += count;
        }
    }
}
