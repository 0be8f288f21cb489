//! Eight numbers in an array, which the compiler turns into whatever vectors the target has.

use super::Lanes;

const WIDTH: usize = 8;
/// Added and taken away, it rounds a number below 2^22 to the nearest whole one.
const ROUND: f32 = 12_582_912.0;

/// Plain Rust.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

type V = [f32; WIDTH];

#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> V {
    std::array::from_fn(f)
}

// SAFETY of the pointers: the trait's contract.
impl Lanes for Portable {
    type V = V;
    const WIDTH: usize = WIDTH;
    const ROWS: usize = 4;
    const COLUMNS: usize = 2;

    #[inline(always)]
    unsafe fn splat(x: f32) -> V {
        [x; WIDTH]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> V {
        // SAFETY: the caller's promise.
        each(|i| unsafe { *from.add(i) })
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> V {
        // SAFETY: the caller's promise.
        each(|i| if i < count { unsafe { *from.add(i) } } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: V) {
        for (i, x) in v.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { *to.add(i) = x }
        }
    }

    #[inline(always)]
    unsafe fn store_part(to: *mut f32, v: V, count: usize) {
        for (i, x) in v.into_iter().take(count).enumerate() {
            // SAFETY: the caller's promise.
            unsafe { *to.add(i) = x }
        }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> V {
        // SAFETY: the caller's promise.
        each(|i| half::f16::from_bits(unsafe { *from.add(i) }).to_f32())
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> V {
        // SAFETY: the caller's promise.
        each(|i| f32::from_bits(u32::from(unsafe { *from.add(i) }) << 16))
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> V {
        // SAFETY: the caller's promise.
        each(|i| f32::from(unsafe { *from.add(i) }))
    }

    #[inline(always)]
    unsafe fn store_f16(to: *mut u16, v: V) {
        for (i, x) in v.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { *to.add(i) = half::f16::from_f32(x).to_bits() }
        }
    }

    #[inline(always)]
    unsafe fn store_i8(to: *mut i8, v: V) {
        for (i, x) in v.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { *to.add(i) = (x + ROUND - ROUND) as i8 }
        }
    }

    #[inline(always)]
    unsafe fn centre(acc: *const i32, sums: *const f32, zero_point: i32) -> V {
        // SAFETY: the caller's promise.
        each(|i| unsafe { (*acc.add(i)).wrapping_sub(zero_point.wrapping_mul(*sums.add(i) as i32)) as f32 })
    }

    #[inline(always)]
    unsafe fn store_u8(to: *mut u8, v: V, zero_point: i32, levels: i32) {
        for (i, x) in v.into_iter().enumerate() {
            let level = ((x + ROUND - ROUND) as i32).wrapping_add(zero_point).clamp(0, levels);
            // SAFETY: the caller's promise.
            unsafe { *to.add(i) = level as u8 }
        }
    }

    #[inline(always)]
    unsafe fn add(a: V, b: V) -> V {
        each(|i| a[i] + b[i])
    }

    #[inline(always)]
    unsafe fn sub(a: V, b: V) -> V {
        each(|i| a[i] - b[i])
    }

    #[inline(always)]
    unsafe fn mul(a: V, b: V) -> V {
        each(|i| a[i] * b[i])
    }

    #[inline(always)]
    unsafe fn div(a: V, b: V) -> V {
        each(|i| a[i] / b[i])
    }

    #[inline(always)]
    unsafe fn mul_add(a: V, b: V, c: V) -> V {
        each(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    unsafe fn max(a: V, b: V) -> V {
        each(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    unsafe fn min(a: V, b: V) -> V {
        each(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    unsafe fn round(a: V) -> V {
        each(|i| a[i] + ROUND - ROUND)
    }

    #[inline(always)]
    unsafe fn power_of_two(a: V) -> V {
        each(|i| f32::from_bits(((a[i] as i32 + 127) as u32) << 23))
    }

    #[inline(always)]
    unsafe fn sum(a: V) -> f32 {
        a.iter().sum()
    }

    #[inline(always)]
    unsafe fn greatest(a: V) -> f32 {
        a.into_iter().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a })
    }

    #[inline(always)]
    unsafe fn least(a: V) -> f32 {
        a.into_iter().fold(f32::INFINITY, |a, b| if b < a { b } else { a })
    }
}
