//! Triangular matrices in double precision: the root of a positive definite one, and inverses. In blocks, so that nearly
//! all of the work is products of matrices.

use tract_core::internal::tract_ndarray::linalg::general_mat_mul;
use tract_core::internal::tract_ndarray::{Array2, ArrayViewMut2, s};

/// How wide a block is.
const BLOCK: usize = 48;

/// Cholesky: the lower triangle `L` with `L L^T` a positive definite matrix.
pub(super) fn root(mut matrix: Array2<f64>) -> Array2<f64> {
    let n = matrix.nrows();
    for start in (0..n).step_by(BLOCK) {
        let end = n.min(start + BLOCK);
        small_root(matrix.slice_mut(s![start..end, start..end]));
        let inverse = small_inverse(&matrix.slice(s![start..end, start..end]).to_owned());
        let below = matrix.slice(s![end.., start..end]).dot(&inverse.t());
        matrix.slice_mut(s![end.., start..end]).assign(&below);
        let mut rest = matrix.slice_mut(s![end.., end..]);
        general_mat_mul(-1.0, &below, &below.t(), 1.0, &mut rest);
        matrix.slice_mut(s![start..end, end..]).fill(0.0);
    }
    matrix
}

/// The inverse of a lower triangle, which is one too.
pub(super) fn inverse(lower: &Array2<f64>) -> Array2<f64> {
    let n = lower.nrows();
    let mut inverse = Array2::zeros((n, n));
    for start in (0..n).step_by(BLOCK) {
        let end = n.min(start + BLOCK);
        let own = small_inverse(&lower.slice(s![start..end, start..end]).to_owned());
        let above = lower.slice(s![start..end, ..start]).dot(&inverse.slice(s![..start, ..start]));
        inverse.slice_mut(s![start..end, ..start]).assign(&(-own.dot(&above)));
        inverse.slice_mut(s![start..end, start..end]).assign(&own);
    }
    inverse
}

fn small_root(mut matrix: ArrayViewMut2<'_, f64>) {
    let n = matrix.nrows();
    for row in 0..n {
        for column in 0..row {
            let known: f64 = (0..column).map(|k| matrix[(row, k)] * matrix[(column, k)]).sum();
            matrix[(row, column)] = (matrix[(row, column)] - known) / matrix[(column, column)];
        }
        let known: f64 = (0..row).map(|k| matrix[(row, k)] * matrix[(row, k)]).sum();
        matrix[(row, row)] = (matrix[(row, row)] - known).max(f64::MIN_POSITIVE).sqrt();
        (row + 1..n).for_each(|column| matrix[(row, column)] = 0.0);
    }
}

fn small_inverse(lower: &Array2<f64>) -> Array2<f64> {
    let n = lower.nrows();
    let mut inverse = Array2::zeros((n, n));
    for column in 0..n {
        for row in column..n {
            let known: f64 = (column..row).map(|k| lower[(row, k)] * inverse[(k, column)]).sum();
            let one = if row == column { 1.0 } else { 0.0 };
            inverse[(row, column)] = (one - known) / lower[(row, row)];
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_and_inverses_give_back_what_they_are_of() {
        for n in [1, 47, 48, 130] {
            let mut random = fastrand::Rng::with_seed(n as u64);
            let numbers = Array2::from_shape_fn((n, 2 * n), |_| random.f64() - 0.5);
            let matrix = numbers.dot(&numbers.t());
            let lower = root(matrix.clone());
            let apart = |a: &Array2<f64>, b: &Array2<f64>| (a - b).iter().map(|x| x.abs()).fold(0.0, f64::max);
            assert!(apart(&lower.dot(&lower.t()), &matrix) < 1e-9, "{n}");
            assert!(apart(&lower.dot(&inverse(&lower)), &Array2::eye(n)) < 1e-6, "{n}");
        }
    }
}
