//! A row of activations becomes unsigned bytes, with a scale and a zero point of its own.

use crate::lanes::{Lanes, WIDEST, tiers};

/// How a quantized row is read: `x = scale * (byte - zero_point)`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RowScale {
    pub(super) scale: f32,
    pub(super) zero_point: i32,
}

tiers! {
    /// Quantizes `count` numbers into `levels` steps over their range, zero included.
    ///
    /// # Safety
    /// `x` has `count` numbers, `out` that many bytes; the instruction set is available.
    pub(super) unsafe fn row(x: *const f32, count: usize, levels: f32, out: *mut u8, scale: *mut RowScale) = lanes;
}

#[inline(always)]
unsafe fn lanes<L: Lanes>(x: *const f32, count: usize, levels: f32, out: *mut u8, scale: *mut RowScale) {
    let whole = count - count % L::WIDTH;
    // SAFETY: the caller's promise.
    unsafe {
        let (mut low, mut high) = (L::splat(0.0), L::splat(0.0));
        for i in (0..whole).step_by(L::WIDTH) {
            let v = L::load(x.add(i));
            low = L::min(low, v);
            high = L::max(high, v);
        }
        if whole < count {
            let v = L::load_part(x.add(whole), count - whole);
            low = L::min(low, v);
            high = L::max(high, v);
        }
        let (low, high) = (L::least(low), L::greatest(high));
        let step = match (high - low) / levels {
            step if !step.is_finite() => f32::NAN,
            step if step < f32::MIN_POSITIVE => 1.0,
            step => step,
        };
        let zero_point = (-low / step).round() as i32;
        *scale = RowScale { scale: step, zero_point };
        let factor = L::splat(if step.is_nan() { 0.0 } else { 1.0 / step });
        for i in (0..whole).step_by(L::WIDTH) {
            L::store_u8(out.add(i), L::mul(L::load(x.add(i)), factor), zero_point, levels as i32);
        }
        if whole < count {
            let v = L::load_part(x.add(whole), count - whole);
            let mut rest = [0u8; WIDEST];
            L::store_u8(rest.as_mut_ptr(), L::mul(v, factor), zero_point, levels as i32);
            out.add(whole).copy_from_nonoverlapping(rest.as_ptr(), count - whole);
        }
    }
}
