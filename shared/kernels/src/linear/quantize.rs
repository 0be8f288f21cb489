//! A row of activations becomes unsigned bytes, over its own range or one that is fixed.

use super::Range;
use crate::lanes::{Lanes, WIDEST, tiers};

/// How a quantized row is read: `x = scale * (byte - zero_point)`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RowScale {
    pub(super) scale: f32,
    pub(super) zero_point: i32,
}

impl RowScale {
    /// For numbers between two that have zero between them, in so many steps.
    fn between(low: f32, high: f32, levels: f32) -> Self {
        let scale = match (high - low) / levels {
            step if !step.is_finite() => f32::NAN,
            step if step < f32::MIN_POSITIVE => 1.0,
            step => step,
        };
        Self { scale, zero_point: (-low / scale).round() as i32 }
    }

    /// What a number is multiplied with.
    fn factor(self) -> f32 {
        if self.scale.is_nan() { 0.0 } else { 1.0 / self.scale }
    }
}

/// A row of numbers.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) x: *const f32,
    pub(super) count: usize,
    /// What each number is multiplied with first, or null.
    pub(super) factors: *const f32,
}

impl Row {
    /// # Safety
    /// The contract of [`Lanes`]; a whole vector of the row begins at `i`.
    #[inline(always)]
    unsafe fn load<L: Lanes>(self, i: usize) -> L::V {
        // SAFETY: the caller's promise; there are as many factors as numbers.
        unsafe {
            let v = L::load(self.x.add(i));
            if self.factors.is_null() { v } else { L::mul(v, L::load(self.factors.add(i))) }
        }
    }

    /// The numbers from `i` to the end, less than a vector, then zeros.
    ///
    /// # Safety
    /// The contract of [`Lanes`].
    #[inline(always)]
    unsafe fn load_rest<L: Lanes>(self, i: usize) -> L::V {
        let rest = self.count - i;
        // SAFETY: as above.
        unsafe {
            let v = L::load_part(self.x.add(i), rest);
            if self.factors.is_null() { v } else { L::mul(v, L::load_part(self.factors.add(i), rest)) }
        }
    }
}

tiers! {
    /// Quantizes a row into `levels` steps over its range, zero included.
    ///
    /// # Safety
    /// The row's pointers have `count` numbers, `out` that many bytes; the instruction set is available.
    pub(super) unsafe fn over_its_own(row: Row, levels: f32, out: *mut u8, scale: *mut RowScale) = own;
}
tiers! {
    /// Quantizes a row into `levels` steps over a range.
    ///
    /// # Safety
    /// As above.
    pub(super) unsafe fn over(row: Row, range: Range, levels: f32, out: *mut u8, scale: *mut RowScale) = fixed;
}

#[inline(always)]
unsafe fn own<L: Lanes>(row: Row, levels: f32, out: *mut u8, scale: *mut RowScale) {
    let whole = row.count - row.count % L::WIDTH;
    // SAFETY: the caller's promise.
    unsafe {
        let (mut low, mut high) = (L::splat(0.0), L::splat(0.0));
        for i in (0..whole).step_by(L::WIDTH) {
            let v = row.load::<L>(i);
            low = L::min(low, v);
            high = L::max(high, v);
        }
        if whole < row.count {
            let v = row.load_rest::<L>(whole);
            low = L::min(low, v);
            high = L::max(high, v);
        }
        *scale = RowScale::between(L::least(low), L::greatest(high), levels);
        write::<L>(row, *scale, levels, out, |v| v);
    }
}

#[inline(always)]
unsafe fn fixed<L: Lanes>(row: Row, range: Range, levels: f32, out: *mut u8, scale: *mut RowScale) {
    // SAFETY: the caller's promise.
    unsafe {
        *scale = RowScale::between(range.low, range.high, levels);
        let (low, high) = (L::splat(range.low), L::splat(range.high));
        write::<L>(row, *scale, levels, out, |v| L::min(L::max(v, low), high));
    }
}

/// Writes the levels of a row whose scale is known.
#[inline(always)]
unsafe fn write<L: Lanes>(row: Row, scale: RowScale, levels: f32, out: *mut u8, within: impl Fn(L::V) -> L::V) {
    let whole = row.count - row.count % L::WIDTH;
    let zero_point = scale.zero_point;
    // SAFETY: the caller's promise.
    unsafe {
        let factor = L::splat(scale.factor());
        for i in (0..whole).step_by(L::WIDTH) {
            L::store_u8(out.add(i), L::mul(within(row.load::<L>(i)), factor), zero_point, levels as i32);
        }
        if whole < row.count {
            let mut rest = [0u8; WIDEST];
            let v = L::mul(within(row.load_rest::<L>(whole)), factor);
            L::store_u8(rest.as_mut_ptr(), v, zero_point, levels as i32);
            out.add(whole).copy_from_nonoverlapping(rest.as_ptr(), row.count - whole);
        }
    }
}
