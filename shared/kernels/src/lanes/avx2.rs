//! Eight numbers in a register of AVX2.

use std::arch::x86_64::*;

use super::Lanes;

/// Eight numbers in a register of AVX2.
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

type V = __m256;

/// The mask of the first `count` elements.
#[inline(always)]
unsafe fn first(count: usize) -> __m256i {
    const ONES_THEN_ZEROS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: it starts at 0 to 8 and reads 8 of 16; AVX is the caller's promise.
    unsafe { _mm256_loadu_si256(ONES_THEN_ZEROS.as_ptr().add(8 - count.min(8)).cast()) }
}

impl Lanes for Avx2 {
    type V = V;
    const WIDTH: usize = 8;
    const ROWS: usize = 6;
    const COLUMNS: usize = 2;

    #[inline(always)]
    unsafe fn splat(x: f32) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm256_maskload_ps(from, first(count)) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: V) {
        // SAFETY: the trait's contract.
        unsafe { _mm256_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn store_part(to: *mut f32, v: V, count: usize) {
        // SAFETY: the trait's contract.
        unsafe { _mm256_maskstore_ps(to, first(count), v) }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast())))) }
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn store_f16(to: *mut u16, v: V) {
        // SAFETY: the trait's contract.
        unsafe { _mm_storeu_si128(to.cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v)) }
    }

    #[inline(always)]
    unsafe fn store_i8(to: *mut i8, v: V) {
        // SAFETY: the trait's contract.
        unsafe {
            let level = _mm256_cvtps_epi32(v);
            let words = _mm_packs_epi32(_mm256_castsi256_si128(level), _mm256_extracti128_si256::<1>(level));
            _mm_storel_epi64(to.cast(), _mm_packs_epi16(words, words));
        }
    }

    #[inline(always)]
    unsafe fn centre(acc: *const i32, sums: *const f32, zero_point: i32) -> V {
        // SAFETY: the trait's contract.
        unsafe {
            let sums = _mm256_cvtps_epi32(_mm256_loadu_ps(sums));
            let shift = _mm256_mullo_epi32(sums, _mm256_set1_epi32(zero_point));
            _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_loadu_si256(acc.cast()), shift))
        }
    }

    #[inline(always)]
    unsafe fn store_u8(to: *mut u8, v: V, zero_point: i32, levels: i32) {
        // SAFETY: the trait's contract.
        unsafe {
            let level = _mm256_add_epi32(_mm256_cvtps_epi32(v), _mm256_set1_epi32(zero_point));
            let level = _mm256_max_epi32(level, _mm256_setzero_si256());
            let level = _mm256_min_epi32(level, _mm256_set1_epi32(levels));
            let words = _mm_packs_epi32(_mm256_castsi256_si128(level), _mm256_extracti128_si256::<1>(level));
            _mm_storel_epi64(to.cast(), _mm_packus_epi16(words, words));
        }
    }

    #[inline(always)]
    unsafe fn add(a: V, b: V) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: V, b: V) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: V, b: V) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn div(a: V, b: V) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: V, b: V, c: V) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn max(a: V, b: V) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn min(a: V, b: V) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm256_min_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn round(a: V) -> V {
        // SAFETY: the trait's contract.
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }

    #[inline(always)]
    unsafe fn power_of_two(a: V) -> V {
        // SAFETY: the trait's contract.
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(a), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        }
    }

    #[inline(always)]
    unsafe fn sum(a: V) -> f32 {
        // SAFETY: the trait's contract.
        unsafe {
            let half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
            _mm_cvtss_f32(_mm_add_ps(pair, _mm_movehdup_ps(pair)))
        }
    }

    #[inline(always)]
    unsafe fn greatest(a: V) -> f32 {
        // SAFETY: the trait's contract.
        unsafe {
            let half = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let pair = _mm_max_ps(half, _mm_movehl_ps(half, half));
            _mm_cvtss_f32(_mm_max_ps(pair, _mm_movehdup_ps(pair)))
        }
    }

    #[inline(always)]
    unsafe fn least(a: V) -> f32 {
        // SAFETY: the trait's contract.
        unsafe {
            let half = _mm_min_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let pair = _mm_min_ps(half, _mm_movehl_ps(half, half));
            _mm_cvtss_f32(_mm_min_ps(pair, _mm_movehdup_ps(pair)))
        }
    }
}
