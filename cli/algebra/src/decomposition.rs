//! Singular values and eigenvalues.

use faer::Side;
use faer::linalg::solvers::{SelfAdjointEigen, Svd};

use crate::Matrix;

/// A matrix as `left diag(values) right`, the greatest value first.
#[derive(Clone, Debug)]
pub struct Singular {
    /// `[rows, values]`; its columns are orthonormal.
    pub left: Matrix,
    /// Not negative, and falling.
    pub values: Vec<f64>,
    /// `[values, columns]`; its rows are orthonormal.
    pub right: Matrix,
}

impl Singular {
    /// Of a matrix; none where it has numbers that are not finite.
    pub fn of(matrix: &Matrix) -> Option<Self> {
        if matrix.values().iter().any(|value| !value.is_finite()) {
            return None;
        }
        let svd = Svd::new_thin(matrix.view()).ok()?;
        let values = svd.S().column_vector().iter().copied().collect();
        Some(Self { left: Matrix::from_view(svd.U()), values, right: Matrix::from_view(svd.V().transpose()) })
    }
}

/// A symmetric matrix as `vectors diag(values) vectors^T`, the greatest value first.
#[derive(Clone, Debug)]
pub struct Eigen {
    /// Falling.
    pub values: Vec<f64>,
    /// `[width, width]`; its columns are orthonormal.
    pub vectors: Matrix,
}

impl Eigen {
    /// Of a symmetric matrix; none where it has numbers that are not finite.
    pub fn of(matrix: &Matrix) -> Option<Self> {
        if matrix.values().iter().any(|value| !value.is_finite()) {
            return None;
        }
        let eigen = SelfAdjointEigen::new(matrix.view(), Side::Lower).ok()?;
        let values: Vec<f64> = eigen.S().column_vector().iter().rev().copied().collect();
        let order: Vec<usize> = (0..values.len()).rev().collect();
        Some(Self { values, vectors: Matrix::from_view(eigen.U()).select_columns(&order) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(matrix: &Matrix, values: &[f64]) -> Matrix {
        let mut scaled = matrix.clone();
        for row in 0..scaled.rows() {
            scaled.row_mut(row).iter_mut().zip(values).for_each(|(number, value)| *number *= value);
        }
        scaled
    }

    #[test]
    fn a_matrix_is_the_product_of_its_parts() {
        let matrix = Matrix::new(5, 3, (0..15).map(|i| f64::from(i * 7 % 11) - 4.0).collect());
        let Singular { left, values, right } = Singular::of(&matrix).unwrap();
        assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
        let again = scaled(&left, &values).times(&right);
        let square = matrix.transposed_times(&matrix);
        let Eigen { values, vectors } = Eigen::of(&square).unwrap();
        assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
        let squared = scaled(&vectors, &values).times(&vectors.transposed());
        for (a, b) in again.values().iter().zip(matrix.values()).chain(squared.values().iter().zip(square.values())) {
            assert!((a - b).abs() < 1e-9, "{a} {b}");
        }
        assert!(Singular::of(&Matrix::new(1, 1, vec![f64::NAN])).is_none());
    }
}
