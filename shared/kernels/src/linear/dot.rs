//! Rows of unsigned bytes times a panel of signed ones: the innermost loop of an int8 layer, per instruction set.

use super::{GROUP, PANEL};

/// Rows of quantized activations and a panel of weights.
#[derive(Clone, Copy)]
pub(super) struct Operands {
    /// Rows of `4 * groups` bytes.
    pub(super) rows: *const u8,
    /// From one row to the next.
    pub(super) stride: usize,
    /// `[groups][PANEL][4]`
    pub(super) panel: *const i8,
    pub(super) groups: usize,
}

/// The sums of up to eight rows over a panel.
pub(super) type Sums = [i32; 8 * PANEL];

/// The dot products of an instruction set.
///
/// # Safety
/// Every function needs its instruction set; the operands have as many rows and groups as they say.
pub(super) trait Dot {
    /// How many rows at most.
    const ROWS: usize;

    /// The sums of `M` rows, each of them exact.
    unsafe fn tile<const M: usize>(operands: Operands, sums: &mut Sums);
}

/// The four bytes of a row that meet group `group`.
#[inline(always)]
unsafe fn bytes(operands: Operands, row: usize, group: usize) -> i32 {
    // SAFETY: the caller's promise; rows need no alignment.
    unsafe { operands.rows.add(row * operands.stride + group * GROUP).cast::<i32>().read_unaligned() }
}

/// Plain Rust.
pub(super) struct Plain;

impl Dot for Plain {
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn tile<const M: usize>(operands: Operands, sums: &mut Sums) {
        let mut acc = [[0i32; PANEL]; M];
        for group in 0..operands.groups {
            // SAFETY: the caller's promise.
            let weights = unsafe { &*operands.panel.add(group * PANEL * GROUP).cast::<[[i8; GROUP]; PANEL]>() };
            for (m, acc) in acc.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                let bytes = unsafe { bytes(operands, m, group) }.to_ne_bytes().map(i32::from);
                for (acc, weights) in acc.iter_mut().zip(weights) {
                    for (byte, weight) in bytes.iter().zip(weights) {
                        *acc += byte * i32::from(*weight);
                    }
                }
            }
        }
        for (to, from) in sums.chunks_exact_mut(PANEL).zip(acc) {
            to.copy_from_slice(&from);
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512, AvxVnni};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Dot, GROUP, Operands, PANEL, Sums, bytes};

    /// Vectors of eight sums that a panel has.
    const VECTORS: usize = PANEL / 8;

    /// AVX-512 VNNI: the whole panel at once.
    pub(in super::super) struct Avx512;

    impl Dot for Avx512 {
        const ROWS: usize = 8;

        #[inline(always)]
        unsafe fn tile<const M: usize>(operands: Operands, sums: &mut Sums) {
            // SAFETY: the caller's promise.
            unsafe {
                let mut acc = [[_mm512_setzero_si512(); 3]; M];
                let mut weights = operands.panel;
                for group in 0..operands.groups {
                    let columns: [__m512i; 3] = std::array::from_fn(|c| _mm512_loadu_si512(weights.add(64 * c).cast()));
                    if M == 1 {
                        for line in (0..PANEL * GROUP).step_by(64) {
                            _mm_prefetch::<_MM_HINT_T0>(weights.wrapping_add(AHEAD + line));
                        }
                    }
                    weights = weights.add(PANEL * GROUP);
                    for (m, acc) in acc.iter_mut().enumerate() {
                        let row = _mm512_set1_epi32(bytes(operands, m, group));
                        for (acc, column) in acc.iter_mut().zip(columns) {
                            *acc = _mm512_dpbusd_epi32(*acc, row, column);
                        }
                    }
                }
                for (m, acc) in acc.into_iter().enumerate() {
                    for (c, acc) in acc.into_iter().enumerate() {
                        _mm512_storeu_si512(sums.as_mut_ptr().add(m * PANEL + 16 * c).cast(), acc);
                    }
                }
            }
        }
    }

    /// How many bytes ahead of one row's work its weights are asked for: they come from memory, page after page.
    const AHEAD: usize = 2048;

    /// The panel part by part, `C` vectors of eight sums by `M` rows, `step` adding the products of four bytes.
    #[inline(always)]
    unsafe fn part<const M: usize, const C: usize>(
        operands: Operands,
        sums: &mut Sums,
        step: impl Fn(__m256i, __m256i, __m256i) -> __m256i,
    ) {
        for part in 0..VECTORS / C {
            // SAFETY: the caller's promise.
            unsafe {
                let mut acc = [[_mm256_setzero_si256(); C]; M];
                let mut weights = operands.panel.add(32 * C * part);
                for group in 0..operands.groups {
                    let columns: [__m256i; C] = std::array::from_fn(|c| _mm256_loadu_si256(weights.add(32 * c).cast()));
                    if M == 1 {
                        for line in (0..PANEL * GROUP).step_by(64) {
                            _mm_prefetch::<_MM_HINT_T0>(weights.wrapping_add(AHEAD + line));
                        }
                    } else {
                        // A part's lines lie too far apart for the CPU to see where they lead.
                        _mm_prefetch::<_MM_HINT_T0>(weights.wrapping_add(10 * PANEL * GROUP));
                    }
                    weights = weights.add(PANEL * GROUP);
                    for (m, acc) in acc.iter_mut().enumerate() {
                        let row = _mm256_set1_epi32(bytes(operands, m, group));
                        for (acc, column) in acc.iter_mut().zip(columns) {
                            *acc = step(*acc, row, column);
                        }
                    }
                }
                for (m, acc) in acc.into_iter().enumerate() {
                    for (c, acc) in acc.into_iter().enumerate() {
                        let to = sums.as_mut_ptr().add(m * PANEL + 8 * (C * part + c));
                        _mm256_storeu_si256(to.cast(), acc);
                    }
                }
            }
        }
    }

    /// AVX-VNNI.
    pub(in super::super) struct AvxVnni;

    impl Dot for AvxVnni {
        const ROWS: usize = 6;

        #[inline(always)]
        unsafe fn tile<const M: usize>(operands: Operands, sums: &mut Sums) {
            // SAFETY: the caller's promise.
            unsafe {
                let step = |acc, row, column| _mm256_dpbusd_avx_epi32(acc, row, column);
                if M == 1 {
                    return part::<1, VECTORS>(operands, sums, step);
                }
                part::<M, 2>(operands, sums, step)
            }
        }
    }

    /// AVX2. Two products of a byte of 7 bits and a signed one fit into the 16 bits that they are first added in.
    pub(in super::super) struct Avx2;

    impl Dot for Avx2 {
        const ROWS: usize = 4;

        #[inline(always)]
        unsafe fn tile<const M: usize>(operands: Operands, sums: &mut Sums) {
            // SAFETY: the caller's promise.
            unsafe {
                let step = |acc, row, column| {
                    let pairs = _mm256_maddubs_epi16(row, column);
                    _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
                };
                if M == 1 {
                    return part::<1, VECTORS>(operands, sums, step);
                }
                part::<M, 2>(operands, sums, step)
            }
        }
    }
}
