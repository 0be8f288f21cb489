//! A softmax kept up over blocks of scores (Milakov and Gimelshein 2018), and the row that comes of it.

use crate::lanes::Lanes;
use crate::math::exp;

/// Turns scores into weights, and gives the greatest score up to now and the sum of the weights.
///
/// # Safety
/// The contract of [`Lanes`]; the row has `count` numbers, whole vectors.
#[inline(always)]
pub(crate) unsafe fn soften<L: Lanes>(row: *mut f32, count: usize, greatest: f32) -> (f32, f32) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut top = L::splat(greatest);
        for i in (0..count).step_by(L::WIDTH) {
            top = L::max(top, L::load(row.add(i)));
        }
        let greatest = L::greatest(top);
        let top = L::splat(greatest);
        let mut sum = L::splat(0.0);
        for i in (0..count).step_by(L::WIDTH) {
            let weight = exp::<L>(L::sub(L::load(row.add(i)), top));
            L::store(row.add(i), weight);
            sum = L::add(sum, weight);
        }
        (greatest, L::sum(sum))
    }
}

/// Writes a row of results, each times `factor`.
///
/// # Safety
/// The contract of [`Lanes`]; `from` has a row padded to whole vectors, `out` has `width` numbers.
#[inline(always)]
pub(crate) unsafe fn write_scaled<L: Lanes>(from: *const f32, factor: f32, width: usize, out: *mut f32) {
    for i in (0..width).step_by(L::WIDTH) {
        // SAFETY: the caller's promise.
        unsafe {
            let v = L::mul(L::load(from.add(i)), L::splat(factor));
            if width - i >= L::WIDTH {
                L::store(out.add(i), v);
            } else {
                L::store_part(out.add(i), v, width - i);
            }
        }
    }
}
