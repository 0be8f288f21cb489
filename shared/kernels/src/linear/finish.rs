//! What comes after the sums of a tile: bias, activation, residual, and the way to memory.

use super::Job;
use crate::activation::apply;
use crate::lanes::Lanes;

/// A row of a tile, and where it belongs.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The output of the tile's first column.
    pub(super) first: usize,
    /// How many columns the tile has: whole vectors.
    pub(super) width: usize,
    pub(super) row: usize,
}

/// Writes a row of a tile, `value(i)` giving the numbers from column `i` on.
///
/// # Safety
/// The contract of [`Lanes`]; the job's pointers cover the place, which no other thread writes.
#[inline(always)]
pub(super) unsafe fn write_row<L: Lanes>(job: &Job<'_>, place: Place, value: impl Fn(usize) -> L::V) {
    let first = place.first;
    let columns = (job.layer.outputs - first).min(place.width);
    let start = place.row * job.layer.outputs + first;
    let out = job.out.at(start);
    for i in (0..columns).step_by(L::WIDTH) {
        let rest = columns - i;
        // SAFETY: bias is padded to whole panels; `out` and the residual have `rest` elements here.
        unsafe {
            let mut v = L::add(value(i), L::load(job.layer.bias.as_ptr().add(first + i)));
            if let Some(activation) = job.layer.activation {
                v = apply::<L>(activation, v);
            }
            if !job.residual.is_null() {
                v = L::add(v, L::load_part(job.residual.add(start + i), rest));
            }
            if rest >= L::WIDTH {
                L::store(out.add(i), v);
            } else {
                L::store_part(out.add(i), v, rest);
            }
        }
    }
}
