//! The product at the heart of float layers and attention: a few rows times a few vectors of columns, in registers.

use crate::lanes::{Element, Lanes};

/// `sum over k of a[m * a_stride + k] * b[k * b_stride + c * WIDTH ..]`, for `M` rows and `C` vectors of columns.
///
/// # Safety
/// The contract of [`Lanes`]; `a` has `M` rows of `depth` numbers, `b` has `depth` rows of `C` vectors.
#[inline(always)]
pub(crate) unsafe fn product<L: Lanes, E: Element, const M: usize, const C: usize>(
    a: *const f32,
    a_stride: usize,
    b: *const E,
    b_stride: usize,
    depth: usize,
) -> [[L::V; C]; M] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut acc = [[L::splat(0.0); C]; M];
        let mut row = b;
        for k in 0..depth {
            let mut columns = [L::splat(0.0); C];
            for (c, column) in columns.iter_mut().enumerate() {
                *column = E::load::<L>(row.add(c * L::WIDTH));
            }
            row = row.add(b_stride);
            for (m, acc) in acc.iter_mut().enumerate() {
                let factor = L::splat(*a.add(m * a_stride + k));
                for (acc, column) in acc.iter_mut().zip(columns) {
                    *acc = L::mul_add(factor, column, *acc);
                }
            }
        }
        acc
    }
}

/// Where a product goes, and whether it is added to what is there.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) out: *mut f32,
    pub(crate) stride: usize,
    pub(crate) add: bool,
}

/// Operands of [`store_product`]: `rows` of `a`, `depth` deep, times `vectors` of columns of `b`.
#[derive(Clone, Copy)]
pub(crate) struct Operands<E = f32> {
    pub(crate) a: *const f32,
    pub(crate) a_stride: usize,
    pub(crate) b: *const E,
    pub(crate) b_stride: usize,
    pub(crate) depth: usize,
}

/// The product of up to [`Lanes::ROWS`] rows and any number of whole vectors of columns.
///
/// # Safety
/// The contract of [`Lanes`]; the operands and the target have as many elements as `rows` and `vectors` say.
#[inline(always)]
pub(crate) unsafe fn store_product<L: Lanes, E: Element>(
    rows: usize,
    vectors: usize,
    operands: Operands<E>,
    target: Target,
) {
    for first in (0..vectors).step_by(L::COLUMNS) {
        let count = (vectors - first).min(L::COLUMNS);
        // SAFETY: within the caller's promise.
        let (operands, target) = unsafe {
            (
                Operands { b: operands.b.add(first * L::WIDTH), ..operands },
                Target { out: target.out.add(first * L::WIDTH), ..target },
            )
        };
        // SAFETY: as above.
        unsafe {
            match count {
                3 if L::COLUMNS >= 3 => by_rows::<L, E, 3>(rows, operands, target),
                2 => by_rows::<L, E, 2>(rows, operands, target),
                _ => by_rows::<L, E, 1>(rows, operands, target),
            }
        }
    }
}

#[inline(always)]
unsafe fn by_rows<L: Lanes, E: Element, const C: usize>(rows: usize, operands: Operands<E>, target: Target) {
    // SAFETY: the caller's promise; `rows` is from 1 to `ROWS`.
    unsafe {
        match rows {
            8 if L::ROWS >= 8 => exactly::<L, E, 8, C>(operands, target),
            7 if L::ROWS >= 8 => exactly::<L, E, 7, C>(operands, target),
            6 if L::ROWS >= 6 => exactly::<L, E, 6, C>(operands, target),
            5 if L::ROWS >= 6 => exactly::<L, E, 5, C>(operands, target),
            4 => exactly::<L, E, 4, C>(operands, target),
            3 => exactly::<L, E, 3, C>(operands, target),
            2 => exactly::<L, E, 2, C>(operands, target),
            _ => exactly::<L, E, 1, C>(operands, target),
        }
    }
}

#[inline(always)]
unsafe fn exactly<L: Lanes, E: Element, const M: usize, const C: usize>(operands: Operands<E>, target: Target) {
    let Operands { a, a_stride, b, b_stride, depth } = operands;
    // SAFETY: the caller's promise.
    unsafe {
        let acc = product::<L, E, M, C>(a, a_stride, b, b_stride, depth);
        for (m, row) in acc.into_iter().enumerate() {
            for (c, v) in row.into_iter().enumerate() {
                let to = target.out.add(m * target.stride + c * L::WIDTH);
                L::store(to, if target.add { L::add(L::load(to), v) } else { v });
            }
        }
    }
}
