//! The triangular root of a positive definite matrix (Cholesky), and what follows from it.

use faer::linalg::solvers::{DenseSolveCore, Llt, Solve};
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{MatRef, Par, Side};

use crate::Matrix;

/// The lower triangle `L` with `L L^T` the matrix it is the root of.
#[derive(Clone, Debug)]
pub struct Root(Llt<f64>);

impl Root {
    /// The root of a symmetric matrix; none if it is not positive definite.
    pub fn of(matrix: &Matrix) -> Option<Self> {
        Llt::new(matrix.view(), Side::Lower).ok().map(Self)
    }

    /// The root of a symmetric matrix after as little was added to its diagonal as makes it positive definite: a
    /// billionth of its mean at first.
    pub fn nearest(mut matrix: Matrix) -> Self {
        let diagonal = matrix.diagonal();
        let mean = diagonal.iter().sum::<f64>() / diagonal.len().max(1) as f64;
        let mut step = if mean > 0.0 && mean.is_finite() { mean * 1e-9 } else { 1.0 };
        loop {
            if let Some(root) = Self::of(&matrix) {
                return root;
            }
            if !step.is_finite() {
                let width = matrix.rows();
                matrix = Matrix::zeros(width, width);
                step = 1.0;
            }
            matrix.add_to_diagonal(step);
            step *= 10.0;
        }
    }

    /// The triangle, zeros above the diagonal.
    pub fn lower(&self) -> Matrix {
        let mut lower = Matrix::from_view(self.triangle());
        for row in 0..lower.rows() {
            lower.row_mut(row)[row + 1..].fill(0.0);
        }
        lower
    }

    /// The inverse of the matrix.
    pub fn inverse(&self) -> Matrix {
        Matrix::from_view(self.0.inverse().as_ref())
    }

    /// `right` times the inverse of the matrix.
    pub fn divide(&self, right: &Matrix) -> Matrix {
        // The matrix is symmetric: its inverse from the right is the one from the left of what is turned over.
        Matrix::from_view(self.0.solve(right.view().transpose()).as_ref().transpose())
    }

    /// The inverse of the triangle times `right`.
    pub fn solve_triangle(&self, right: &Matrix) -> Matrix {
        let mut solved = right.clone();
        solve_lower_triangular_in_place(self.triangle(), solved.view_mut(), Par::Seq);
        solved
    }

    /// `right` times the inverse of the triangle.
    pub fn divide_by_triangle(&self, right: &Matrix) -> Matrix {
        let mut turned = right.view().transpose().to_owned();
        solve_upper_triangular_in_place(self.triangle().transpose(), turned.as_mut(), Par::Seq);
        Matrix::from_view(turned.as_ref().transpose())
    }

    fn triangle(&self) -> MatRef<'_, f64> {
        self.0.L()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::numbers;

    fn near(a: &Matrix, b: &Matrix) {
        for (a, b) in a.values().iter().zip(b.values()) {
            assert!((a - b).abs() < 1e-8, "{a} {b}");
        }
    }

    #[test]
    fn what_was_divided_is_had_again_by_multiplying() {
        let x = Matrix::new(40, 17, numbers(1, 40 * 17));
        let matrix = x.transposed_times(&x);
        let root = Root::of(&matrix).unwrap();
        let lower = root.lower();
        near(&lower.times(&lower.transposed()), &matrix);
        let right = Matrix::new(5, 17, numbers(2, 5 * 17));
        near(&root.divide(&right).times(&matrix), &right);
        near(&root.divide(&right), &right.times(&root.inverse()));
        near(&root.divide_by_triangle(&right).times(&lower), &right);
    }

    #[test]
    fn a_matrix_that_has_no_root_gets_the_nearest() {
        for values in [vec![0.0; 4], vec![1.0; 4], vec![-1.0, 0.0, 0.0, 2.0], vec![f64::NAN; 4]] {
            let matrix = Matrix::new(2, 2, values);
            assert!(Root::nearest(matrix).lower().values().iter().all(|value| value.is_finite()));
        }
    }
}
