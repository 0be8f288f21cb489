//! What the inputs of a layer are like: the sums of the products of any two of them.

use tract_core::internal::tract_ndarray::linalg::general_mat_mul;
use tract_core::internal::tract_ndarray::{Array2, ArrayView2};

/// What is added to the diagonal, as a part of its mean, so that no input counts for nothing.
const DAMPING: f64 = 0.01;

/// Second moments of a layer's inputs.
#[derive(Clone, Debug)]
pub struct Moments {
    /// `[inputs, inputs]`
    products: Array2<f32>,
    rows: usize,
}

impl Moments {
    /// Of a layer with so many inputs, of which none was seen.
    pub fn new(inputs: usize) -> Self {
        Self { products: Array2::zeros((inputs, inputs)), rows: 0 }
    }

    /// How many inputs there are.
    pub fn width(&self) -> usize {
        self.products.nrows()
    }

    /// How many rows were seen.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds rows of inputs, one after the other; what is left of a whole row is not counted.
    pub fn add(&mut self, rows: &[f32]) {
        let width = self.width();
        let count = rows.len() / width.max(1);
        let Ok(rows) = ArrayView2::from_shape((count, width), &rows[..count * width]) else { return };
        general_mat_mul(1.0, &rows.t(), &rows, 1.0, &mut self.products);
        self.rows += count;
    }

    /// How much an error of each input's weight costs by itself.
    pub fn diagonal(&self) -> Vec<f32> {
        let damping = self.damping();
        self.products.diag().iter().map(|square| (f64::from(*square) + damping) as f32).collect()
    }

    fn damping(&self) -> f64 {
        let mean =
            self.products.diag().iter().map(|square| f64::from(*square)).sum::<f64>() / self.width().max(1) as f64;
        if mean > 0.0 { DAMPING * mean } else { 1.0 }
    }

    /// The upper triangle `U` with `U^T U` the inverse of the moments, `[inputs, inputs]`: how the error of an input's
    /// weight is made up for by those that follow.
    pub fn correction(&self) -> Vec<f32> {
        let n = self.width();
        // The moments turned about: their lower triangular root is, turned back, an upper one.
        let mut root: Vec<f64> = self.products.iter().map(|product| f64::from(*product)).collect();
        root.reverse();
        let damping = self.damping();
        (0..n).for_each(|at| root[at * n + at] += damping);
        decompose(&mut root, n);
        let inverse = inverted(&root, n);
        inverse.into_iter().rev().map(|number| number as f32).collect()
    }
}

/// Cholesky: a positive definite matrix becomes the lower triangle `L` with `L L^T` what it was.
fn decompose(matrix: &mut [f64], n: usize) {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for row in 0..n {
        let (above, rest) = matrix.split_at_mut(row * n);
        let own = &mut rest[..n];
        for column in 0..row {
            let other = &above[column * n..(column + 1) * n];
            own[column] = (own[column] - dot(&own[..column], &other[..column])) / other[column];
        }
        let left = own[row] - dot(&own[..row], &own[..row]);
        own[row] = left.max(f64::MIN_POSITIVE).sqrt();
        own[row + 1..].fill(0.0);
    }
}

/// The inverse of a lower triangle, which is one too.
fn inverted(lower: &[f64], n: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; n * n];
    for row in 0..n {
        let (above, rest) = inverse.split_at_mut(row * n);
        let own = &mut rest[..n];
        for (column, factor) in lower[row * n..row * n + row].iter().enumerate() {
            let other = &above[column * n..=column * n + column];
            own.iter_mut().zip(other).for_each(|(own, other)| *own -= factor * other);
        }
        let diagonal = lower[row * n + row];
        own[row] = 1.0;
        own[..=row].iter_mut().for_each(|number| *number /= diagonal);
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_correction_is_a_root_of_the_inverse() {
        let n = 17;
        let mut random = fastrand::Rng::with_seed(2);
        let mut moments = Moments::new(n);
        moments.add(&(0..60 * n).map(|_| random.f32() - 0.4).collect::<Vec<_>>());
        let upper = moments.correction();
        let at = |row: usize, column: usize| f64::from(upper[row * n + column]);
        let whole = |row: usize, column: usize| {
            f64::from(moments.products[(row, column)]) + if row == column { moments.damping() } else { 0.0 }
        };
        for row in 0..n {
            assert!((0..row).all(|column| at(row, column) == 0.0));
            for column in 0..n {
                let inverse = |a: usize, b: usize| (0..n).map(|k| at(k, a) * at(k, b)).sum::<f64>();
                let one: f64 = (0..n).map(|k| inverse(row, k) * whole(k, column)).sum();
                assert!((one - f64::from(u8::from(row == column))).abs() < 1e-4, "{row} {column}: {one}");
            }
        }
    }
}
