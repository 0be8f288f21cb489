//! Blocks of signed bytes times a panel of 4-bit numbers: the innermost loop of a 4-bit layer, per instruction set.

use half::f16;

use super::blocks::{BLOCK, BYTES, PANEL, SCALES, ZERO};

/// Rows of quantized activations and a panel of weights.
#[derive(Clone, Copy)]
pub(super) struct Operands {
    /// `[rows][blocks][BLOCK]`
    pub(super) levels: *const i8,
    /// `[rows][blocks]`
    pub(super) scales: *const f32,
    /// `[rows][blocks]`: what [`Dot::shift`] gave.
    pub(super) shifts: *const i32,
    /// `[blocks][BYTES]`
    pub(super) panel: *const u8,
    pub(super) blocks: usize,
}

/// The sums of up to eight rows over a panel.
pub(super) type Sums = [f32; 8 * PANEL];

/// The dot products of an instruction set.
///
/// # Safety
/// Every function needs its instruction set; the operands have as many rows and blocks as they say.
pub(super) trait Dot {
    /// How many rows at most.
    const ROWS: usize;

    /// What takes the 8 away that every value of a block is too great by: -8 times the sum of a block of activations, in
    /// the form that this instruction set starts its sums with.
    unsafe fn shift(levels: *const i8) -> i32;

    /// The sums of `M` rows: per block exact, then scaled and added in single precision.
    unsafe fn tile<const M: usize>(operands: Operands, sums: &mut Sums);
}

/// Plain Rust.
pub(super) struct Plain;

impl Dot for Plain {
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn shift(levels: *const i8) -> i32 {
        // SAFETY: the caller's promise.
        let levels = unsafe { &*levels.cast::<[i8; BLOCK]>() };
        -i32::from(ZERO) * levels.iter().map(|level| i32::from(*level)).sum::<i32>()
    }

    #[inline(always)]
    unsafe fn tile<const M: usize>(operands: Operands, sums: &mut Sums) {
        let mut acc = [[0f32; PANEL]; M];
        for block in 0..operands.blocks {
            // SAFETY: the caller's promise; scales lie at even places.
            let (values, scales) = unsafe {
                let start = operands.panel.add(block * BYTES);
                (&*start.cast::<[[[u8; 4]; PANEL]; BLOCK / 8]>(), start.add(SCALES).cast::<[u8; 2]>())
            };
            for (m, acc) in acc.iter_mut().enumerate() {
                let at = m * operands.blocks + block;
                // SAFETY: the caller's promise.
                let (levels, shift, scale) = unsafe {
                    let levels = &*operands.levels.add(at * BLOCK).cast::<[[[i8; 4]; 2]; BLOCK / 8]>();
                    (levels, *operands.shifts.add(at), *operands.scales.add(at))
                };
                let mut whole = [shift; PANEL];
                for (values, [low, high]) in values.iter().zip(levels) {
                    for (whole, values) in whole.iter_mut().zip(values) {
                        for i in 0..4 {
                            *whole += i32::from(values[i] & 15) * i32::from(low[i]);
                            *whole += i32::from(values[i] >> 4) * i32::from(high[i]);
                        }
                    }
                }
                for (i, (acc, whole)) in acc.iter_mut().zip(whole).enumerate() {
                    // SAFETY: a panel has as many scales.
                    let weight = f16::from_le_bytes(unsafe { *scales.add(i) }).to_f32();
                    *acc += whole as f32 * scale * weight;
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

    use super::{BLOCK, BYTES, Dot, Operands, PANEL, SCALES, Sums};

    /// Four bytes of a row's block.
    #[inline(always)]
    unsafe fn four(levels: *const i8, group: usize) -> i32 {
        // SAFETY: the caller's promise; rows need no alignment.
        unsafe { levels.add(group * 4).cast::<i32>().read_unaligned() }
    }

    /// -8 times the sum of a block, from its eight sums of four.
    #[inline(always)]
    unsafe fn total(fours: __m256i) -> i32 {
        // SAFETY: AVX2 is the caller's promise.
        unsafe {
            let sum = _mm_add_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256::<1>(fours));
            let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b00_00_11_10>(sum));
            let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b00_00_00_01>(sum));
            -8 * _mm_cvtsi128_si32(sum)
        }
    }

    /// AVX-512 VNNI: the whole panel at once.
    pub(in super::super) struct Avx512;

    impl Dot for Avx512 {
        const ROWS: usize = 8;

        #[inline(always)]
        unsafe fn shift(levels: *const i8) -> i32 {
            // SAFETY: the caller's promise.
            unsafe {
                let levels = _mm256_loadu_si256(levels.cast());
                total(_mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), levels))
            }
        }

        #[inline(always)]
        unsafe fn tile<const M: usize>(operands: Operands, sums: &mut Sums) {
            // SAFETY: the caller's promise.
            unsafe {
                let low = _mm512_set1_epi8(15);
                let mut acc = [_mm512_setzero_ps(); M];
                for block in 0..operands.blocks {
                    let start = operands.panel.add(block * BYTES);
                    if M == 1 {
                        ahead(start);
                    }
                    let mut whole = [_mm512_setzero_si512(); M];
                    for (m, whole) in whole.iter_mut().enumerate() {
                        *whole = _mm512_set1_epi32(*operands.shifts.add(m * operands.blocks + block));
                    }
                    for part in 0..BLOCK / 8 {
                        let both = _mm512_loadu_si512(start.add(64 * part).cast());
                        let first = _mm512_and_si512(both, low);
                        let second = _mm512_and_si512(_mm512_srli_epi16::<4>(both), low);
                        for (m, whole) in whole.iter_mut().enumerate() {
                            let levels = operands.levels.add((m * operands.blocks + block) * BLOCK);
                            *whole = _mm512_dpbusd_epi32(*whole, first, _mm512_set1_epi32(four(levels, 2 * part)));
                            *whole = _mm512_dpbusd_epi32(*whole, second, _mm512_set1_epi32(four(levels, 2 * part + 1)));
                        }
                    }
                    let weights = _mm512_cvtph_ps(_mm256_loadu_si256(start.add(SCALES).cast()));
                    for (m, (acc, whole)) in acc.iter_mut().zip(whole).enumerate() {
                        let scale = _mm512_set1_ps(*operands.scales.add(m * operands.blocks + block));
                        *acc = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(whole), scale), weights, *acc);
                    }
                }
                for (m, acc) in acc.into_iter().enumerate() {
                    _mm512_storeu_ps(sums.as_mut_ptr().add(m * PANEL), acc);
                }
            }
        }
    }

    // Arrays are filled by loops here: the closures that `array::from_fn` and `map` take are not always inlined, and then
    // have not the instruction set.

    /// The panel in halves of eight outputs, `H` of them at a time: `step` adds the products of four bytes to sums that
    /// start with the shift, `whole` makes whole numbers of them.
    #[inline(always)]
    unsafe fn halves<const M: usize, const H: usize>(
        operands: Operands,
        sums: &mut Sums,
        step: impl Fn(__m256i, __m256i, __m256i) -> __m256i,
        whole: impl Fn(__m256i) -> __m256i,
    ) {
        for first in (0..2).step_by(H) {
            // SAFETY: the caller's promise.
            unsafe {
                let low = _mm256_set1_epi8(15);
                let mut acc = [[_mm256_setzero_ps(); H]; M];
                for block in 0..operands.blocks {
                    let start = operands.panel.add(block * BYTES);
                    if M == 1 {
                        ahead(start);
                    }
                    let mut products = [[_mm256_setzero_si256(); H]; M];
                    for (m, products) in products.iter_mut().enumerate() {
                        *products = [_mm256_set1_epi32(*operands.shifts.add(m * operands.blocks + block)); H];
                    }
                    for part in 0..BLOCK / 8 {
                        let (mut early, mut late) = ([low; H], [low; H]);
                        for half in 0..H {
                            let both = _mm256_loadu_si256(start.add(64 * part + 32 * (first + half)).cast());
                            early[half] = _mm256_and_si256(both, low);
                            late[half] = _mm256_and_si256(_mm256_srli_epi16::<4>(both), low);
                        }
                        for (m, products) in products.iter_mut().enumerate() {
                            let levels = operands.levels.add((m * operands.blocks + block) * BLOCK);
                            let four_early = _mm256_set1_epi32(four(levels, 2 * part));
                            let four_late = _mm256_set1_epi32(four(levels, 2 * part + 1));
                            for (half, products) in products.iter_mut().enumerate() {
                                *products = step(*products, early[half], four_early);
                                *products = step(*products, late[half], four_late);
                            }
                        }
                    }
                    let mut weights = [_mm256_setzero_ps(); H];
                    for (half, weights) in weights.iter_mut().enumerate() {
                        let from = start.add(SCALES + 16 * (first + half));
                        *weights = _mm256_cvtph_ps(_mm_loadu_si128(from.cast()));
                    }
                    for (m, (acc, products)) in acc.iter_mut().zip(products).enumerate() {
                        let scale = _mm256_set1_ps(*operands.scales.add(m * operands.blocks + block));
                        for half in 0..H {
                            let sum = _mm256_mul_ps(_mm256_cvtepi32_ps(whole(products[half])), scale);
                            acc[half] = _mm256_fmadd_ps(sum, weights[half], acc[half]);
                        }
                    }
                }
                for (m, acc) in acc.into_iter().enumerate() {
                    for (half, acc) in acc.into_iter().enumerate() {
                        _mm256_storeu_ps(sums.as_mut_ptr().add(m * PANEL + 8 * (first + half)), acc);
                    }
                }
            }
        }
    }

    /// Asks for what one row meets some blocks later: it comes from memory, page after page.
    #[inline(always)]
    unsafe fn ahead(block: *const u8) {
        for line in (0..BYTES).step_by(64) {
            // SAFETY: a prefetch of any address is none of the program's reads.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(block.wrapping_add(8 * BYTES + line).cast()) }
        }
    }

    /// AVX-VNNI.
    pub(in super::super) struct AvxVnni;

    impl Dot for AvxVnni {
        const ROWS: usize = 4;

        #[inline(always)]
        unsafe fn shift(levels: *const i8) -> i32 {
            // SAFETY: the caller's promise.
            unsafe {
                let levels = _mm256_loadu_si256(levels.cast());
                total(_mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), levels))
            }
        }

        #[inline(always)]
        unsafe fn tile<const M: usize>(operands: Operands, sums: &mut Sums) {
            // SAFETY: the caller's promise.
            unsafe {
                let step = |sum, values, levels| _mm256_dpbusd_avx_epi32(sum, values, levels);
                if M == 1 {
                    return halves::<1, 2>(operands, sums, step, |sum| sum);
                }
                halves::<M, 1>(operands, sums, step, |sum| sum);
            }
        }
    }

    /// AVX2. The products of a block of an output are added in two sums of 16 bits: their end fits, since with the shift
    /// it is 16 products of at most 8 by 127, and what overflows on the way comes back.
    pub(in super::super) struct Avx2;

    impl Dot for Avx2 {
        const ROWS: usize = 4;

        #[inline(always)]
        unsafe fn shift(levels: *const i8) -> i32 {
            // SAFETY: the caller's promise.
            unsafe {
                let pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), _mm256_loadu_si256(levels.cast()));
                let sum = _mm_add_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs));
                let sum = _mm_add_epi16(sum, _mm_shuffle_epi32::<0b00_00_11_10>(sum));
                let sum = _mm_add_epi16(sum, _mm_shuffle_epi32::<0b00_00_00_01>(sum));
                _mm_cvtsi128_si32(_mm_sub_epi16(_mm_setzero_si128(), _mm_slli_epi16::<3>(sum)))
            }
        }

        #[inline(always)]
        unsafe fn tile<const M: usize>(operands: Operands, sums: &mut Sums) {
            // SAFETY: the caller's promise.
            unsafe {
                let ones = _mm256_set1_epi16(1);
                let step = |sum, values, levels| _mm256_add_epi16(sum, _mm256_maddubs_epi16(values, levels));
                let whole = |sum| _mm256_madd_epi16(sum, ones);
                if M == 1 {
                    return halves::<1, 2>(operands, sums, step, whole);
                }
                halves::<M, 1>(operands, sums, step, whole);
            }
        }
    }
}
