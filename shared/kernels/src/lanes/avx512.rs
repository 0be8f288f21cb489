//! Sixteen numbers in a register of AVX-512.

use std::arch::x86_64::*;

use super::Lanes;

/// Sixteen numbers in a register of AVX-512.
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

type V = __m512;

/// The mask of the first `count` elements.
#[inline(always)]
fn first(count: usize) -> __mmask16 {
    if count >= 16 { 0xffff } else { (1 << count) - 1 }
}

impl Lanes for Avx512 {
    type V = V;
    const WIDTH: usize = 16;
    const ROWS: usize = 8;
    const COLUMNS: usize = 3;

    #[inline(always)]
    unsafe fn splat(x: f32) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm512_maskz_loadu_ps(first(count), from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: V) {
        // SAFETY: the trait's contract.
        unsafe { _mm512_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn store_part(to: *mut f32, v: V, count: usize) {
        // SAFETY: the trait's contract.
        unsafe { _mm512_mask_storeu_ps(to, first(count), v) }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast())))) }
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn store_f16(to: *mut u16, v: V) {
        // SAFETY: the trait's contract.
        unsafe { _mm256_storeu_si256(to.cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v)) }
    }

    #[inline(always)]
    unsafe fn store_i8(to: *mut i8, v: V) {
        // SAFETY: the trait's contract.
        unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v))) }
    }

    #[inline(always)]
    unsafe fn centre(acc: *const i32, sums: *const f32, zero_point: i32) -> V {
        // SAFETY: the trait's contract.
        unsafe {
            let sums = _mm512_cvtps_epi32(_mm512_loadu_ps(sums));
            let shift = _mm512_mullo_epi32(sums, _mm512_set1_epi32(zero_point));
            _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(acc.cast()), shift))
        }
    }

    #[inline(always)]
    unsafe fn store_u8(to: *mut u8, v: V, zero_point: i32, levels: i32) {
        // SAFETY: the trait's contract.
        unsafe {
            let level = _mm512_add_epi32(_mm512_cvtps_epi32(v), _mm512_set1_epi32(zero_point));
            let level = _mm512_max_epi32(level, _mm512_setzero_si512());
            let level = _mm512_min_epi32(level, _mm512_set1_epi32(levels));
            _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(level));
        }
    }

    #[inline(always)]
    unsafe fn add(a: V, b: V) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: V, b: V) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: V, b: V) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn div(a: V, b: V) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: V, b: V, c: V) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn max(a: V, b: V) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn min(a: V, b: V) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn round(a: V) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }

    #[inline(always)]
    unsafe fn power_of_two(a: V) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm512_scalef_ps(_mm512_set1_ps(1.0), a) }
    }

    #[inline(always)]
    unsafe fn sum(a: V) -> f32 {
        // SAFETY: the trait's contract.
        unsafe { _mm512_reduce_add_ps(a) }
    }

    #[inline(always)]
    unsafe fn greatest(a: V) -> f32 {
        // SAFETY: the trait's contract.
        unsafe { _mm512_reduce_max_ps(a) }
    }

    #[inline(always)]
    unsafe fn least(a: V) -> f32 {
        // SAFETY: the trait's contract.
        unsafe { _mm512_reduce_min_ps(a) }
    }
}
