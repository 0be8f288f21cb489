//! Rows of unsigned bytes times blocks of signed ones, per instruction set.

use crate::linear::sparse::PANEL;

/// The most rows of a tile.
pub(super) const ROWS: usize = 16;

/// The products of an instruction set.
///
/// # Safety
/// Every function needs its instruction set, and is to be inlined into a function that enables it. `load` reads a vector
/// of bytes, `store` writes one of 32-bit sums.
pub(super) trait Products {
    /// As many sums as a panel has, or half of them; or as many times four bytes.
    type V: Copy;
    /// How many sums a vector has.
    const WIDTH: usize;
    /// How many rows a tile has at most: with what feeds them, their sums fit into the registers.
    const ROWS: usize;
    /// Whether what a tile's rows have of a group is to lie side by side: so many rows have no registers for where each is.
    const INTERLEAVED: bool;

    unsafe fn zero() -> Self::V;
    unsafe fn load(from: *const i8) -> Self::V;
    /// The same four bytes for each sum.
    unsafe fn splat(bytes: u32) -> Self::V;
    /// Adds to each sum the products of four unsigned bytes of a row and four signed ones.
    unsafe fn step(sums: Self::V, row: Self::V, column: Self::V) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn store(to: *mut i32, sums: Self::V);
}

/// Plain Rust.
pub(super) struct Plain;

impl Products for Plain {
    type V = [u32; PANEL];
    const WIDTH: usize = PANEL;
    const ROWS: usize = 4;
    const INTERLEAVED: bool = false;

    #[inline(always)]
    unsafe fn zero() -> Self::V {
        [0; PANEL]
    }

    #[inline(always)]
    unsafe fn load(from: *const i8) -> Self::V {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<Self::V>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn splat(bytes: u32) -> Self::V {
        [bytes; PANEL]
    }

    #[inline(always)]
    unsafe fn step(mut sums: Self::V, row: Self::V, column: Self::V) -> Self::V {
        for ((sum, row), column) in sums.iter_mut().zip(row).zip(column) {
            let pairs = row.to_ne_bytes().into_iter().zip(column.to_ne_bytes());
            let added: i32 = pairs.map(|(byte, weight)| i32::from(byte) * i32::from(weight as i8)).sum();
            *sum = sum.wrapping_add_signed(added);
        }
        sums
    }

    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    unsafe fn store(to: *mut i32, sums: Self::V) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<Self::V>().write_unaligned(sums) }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512, AvxVnni};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Products, ROWS};

    /// The products of vectors of a type, by the instructions for it.
    macro_rules! products {
        (
            $(#[$doc:meta])* $name:ident, $vector:ty, $width:literal, rows: $rows:expr, interleaved: $interleaved:literal,
            $zero:ident, $load:ident, $splat:ident, $add:ident, $store:ident, $step:expr
        ) => {
            $(#[$doc])*
            pub(in super::super) struct $name;

            impl Products for $name {
                type V = $vector;
                const WIDTH: usize = $width;
                const ROWS: usize = $rows;
                const INTERLEAVED: bool = $interleaved;

                #[inline(always)]
                unsafe fn zero() -> $vector {
                    // SAFETY: the caller's promise.
                    unsafe { $zero() }
                }

                #[inline(always)]
                unsafe fn load(from: *const i8) -> $vector {
                    // SAFETY: the caller's promise.
                    unsafe { $load(from.cast()) }
                }

                #[inline(always)]
                unsafe fn splat(bytes: u32) -> $vector {
                    // SAFETY: the caller's promise.
                    unsafe { $splat(bytes.cast_signed()) }
                }

                #[inline(always)]
                unsafe fn step(sums: $vector, row: $vector, column: $vector) -> $vector {
                    // SAFETY: the caller's promise.
                    unsafe { $step(sums, row, column) }
                }

                #[inline(always)]
                unsafe fn add(a: $vector, b: $vector) -> $vector {
                    // SAFETY: the caller's promise.
                    unsafe { $add(a, b) }
                }

                #[inline(always)]
                unsafe fn store(to: *mut i32, sums: $vector) {
                    // SAFETY: the caller's promise.
                    unsafe { $store(to.cast(), sums) }
                }
            }
        };
    }

    products!(
        /// AVX-512 VNNI.
        Avx512, __m512i, 16, rows: ROWS, interleaved: true,
        _mm512_setzero_si512, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_add_epi32, _mm512_storeu_si512,
        _mm512_dpbusd_epi32
    );
    products!(
        /// AVX-VNNI.
        AvxVnni, __m256i, 8, rows: 6, interleaved: false,
        _mm256_setzero_si256, _mm256_loadu_si256, _mm256_set1_epi32, _mm256_add_epi32, _mm256_storeu_si256,
        _mm256_dpbusd_avx_epi32
    );
    products!(
        /// AVX2. Two products of a byte of 7 bits and a signed one fit into the 16 bits that they are first added in.
        Avx2, __m256i, 8, rows: 4, interleaved: false,
        _mm256_setzero_si256, _mm256_loadu_si256, _mm256_set1_epi32, _mm256_add_epi32, _mm256_storeu_si256,
        |sums, row, column| {
            let pairs = _mm256_maddubs_epi16(row, column);
            _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    );
}
