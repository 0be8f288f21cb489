//! A matrix of numbers in double precision.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// A matrix, row after row.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// Of zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows * columns] }
    }

    /// From numbers, row after row; missing ones are zero, and more than fit are left out.
    pub fn new(rows: usize, columns: usize, mut values: Vec<f64>) -> Self {
        values.resize(rows * columns, 0.0);
        Self { rows, columns, values }
    }

    /// From numbers in single precision, as [`new`](Self::new).
    pub fn from_f32(rows: usize, columns: usize, values: &[f32]) -> Self {
        Self::new(rows, columns, values.iter().copied().map(f64::from).collect())
    }

    /// The numbers in single precision, row after row.
    pub fn to_f32(&self) -> Vec<f32> {
        self.values.iter().map(|value| *value as f32).collect()
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns there are.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The numbers, row after row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// A row.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// A row, to be changed.
    pub fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// A number.
    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.columns + column]
    }

    /// The numbers on the diagonal.
    pub fn diagonal(&self) -> Vec<f64> {
        (0..self.rows.min(self.columns)).map(|at| self.at(at, at)).collect()
    }

    /// Adds a number to each on the diagonal.
    pub fn add_to_diagonal(&mut self, number: f64) {
        for at in 0..self.rows.min(self.columns) {
            self.values[at * self.columns + at] += number;
        }
    }

    /// Adds another matrix of the same shape, times a factor.
    pub fn add(&mut self, other: &Self, factor: f64) {
        self.values.iter_mut().zip(&other.values).for_each(|(own, other)| *own += factor * other);
    }

    /// Multiplies every number.
    pub fn scale(&mut self, factor: f64) {
        self.values.iter_mut().for_each(|value| *value *= factor);
    }

    /// Adds the product of a column and a row, times a factor.
    pub fn add_outer(&mut self, column: &[f64], row: &[f64], factor: f64) {
        for (own, left) in self.values.chunks_exact_mut(self.columns.max(1)).zip(column) {
            let left = factor * left;
            own.iter_mut().zip(row).for_each(|(own, right)| *own += left * right);
        }
    }

    /// Rows for columns.
    pub fn transposed(&self) -> Self {
        let mut transposed = Self::zeros(self.columns, self.rows);
        for row in 0..self.rows {
            for (column, value) in self.row(row).iter().enumerate() {
                transposed.values[column * self.rows + row] = *value;
            }
        }
        transposed
    }

    /// These rows, in this order.
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        let values = rows.iter().flat_map(|row| self.row(*row).iter().copied()).collect();
        Self { rows: rows.len(), columns: self.columns, values }
    }

    /// These columns, in this order.
    pub fn select_columns(&self, columns: &[usize]) -> Self {
        let mut values = Vec::with_capacity(self.rows * columns.len());
        for row in 0..self.rows {
            let row = self.row(row);
            values.extend(columns.iter().map(|column| row[*column]));
        }
        Self { rows: self.rows, columns: columns.len(), values }
    }

    /// The product with another matrix, which has as many rows as this has columns.
    pub fn times(&self, other: &Self) -> Self {
        let mut product = Self::zeros(self.rows, other.columns);
        product.add_product(self, other, 1.0);
        product
    }

    /// Adds the product of two matrices, times a factor.
    pub fn add_product(&mut self, left: &Self, right: &Self, factor: f64) {
        if left.columns > 0 {
            matmul(self.view_mut(), Accum::Add, left.view(), right.view(), factor, Par::Seq);
        }
    }

    /// The product of the matrix turned over, columns for rows, with another of as many rows.
    pub fn transposed_times(&self, other: &Self) -> Self {
        let mut product = Self::zeros(self.columns, other.columns);
        if self.rows > 0 {
            matmul(product.view_mut(), Accum::Add, self.view().transpose(), other.view(), 1.0, Par::Seq);
        }
        product
    }

    /// The sum of the squares of all numbers.
    pub fn power(&self) -> f64 {
        self.values.iter().map(|value| value * value).sum()
    }

    pub(crate) fn view(&self) -> MatRef<'_, f64> {
        MatRef::from_row_major_slice(&self.values, self.rows, self.columns)
    }

    pub(crate) fn view_mut(&mut self) -> MatMut<'_, f64> {
        MatMut::from_row_major_slice_mut(&mut self.values, self.rows, self.columns)
    }

    pub(crate) fn from_view(view: MatRef<'_, f64>) -> Self {
        let (rows, columns) = (view.nrows(), view.ncols());
        let values = (0..rows).flat_map(|row| (0..columns).map(move |column| *view.get(row, column))).collect();
        Self { rows, columns, values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_as_sums_say() {
        let a = Matrix::new(2, 3, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let b = Matrix::new(3, 1, vec![1.0, 0.0, -1.0]);
        assert_eq!(a.times(&b).values(), [-2.0, -2.0]);
        assert_eq!(a.transposed_times(&a), a.transposed().times(&a));
        assert_eq!(a.select_columns(&[2, 0]).values(), [3.0, 1.0, 6.0, 4.0]);
        assert_eq!(a.select_rows(&[1]).values(), [4.0, 5.0, 6.0]);
    }
}
