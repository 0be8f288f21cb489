//! What the inputs of a layer are like: the sums of the products of any two of them.

use emberlite_algebra::{Matrix, Root};
use tract_core::internal::tract_ndarray::linalg::general_mat_mul;
use tract_core::internal::tract_ndarray::{Array2, ArrayView2, Axis};

use super::observe::Notes;

/// What is added to the diagonal, as a part of its mean, so that no input counts for nothing.
const DAMPING: f64 = 0.01;

/// Second moments of a layer's inputs, and those with the inputs that it had before other layers were quantized.
#[derive(Clone, Debug)]
pub struct Moments {
    /// `[inputs, inputs]`
    products: Array2<f32>,
    /// `[inputs before, inputs]`, where they differ.
    crossed: Option<Array2<f32>>,
}

impl Notes for Moments {
    /// Of a layer with so many inputs, of which none was seen.
    fn new(inputs: usize) -> Self {
        Self { products: Array2::zeros((inputs, inputs)), crossed: None }
    }

    /// Adds rows of inputs, one after the other; what is left of a whole row is not counted.
    fn add(&mut self, rows: &[f32]) {
        let width = self.width();
        let count = rows.len() / width.max(1);
        let Ok(rows) = ArrayView2::from_shape((count, width), &rows[..count * width]) else { return };
        general_mat_mul(1.0, &rows.t(), &rows, 1.0, &mut self.products);
    }
}

impl Moments {
    /// Of rows of inputs, and of what the same rows were before other layers were quantized.
    ///
    /// # Errors
    /// Rows that are not as many.
    pub fn between(before: &[f32], after: &[f32], width: usize) -> Result<Self, String> {
        let mut moments = Self::new(width);
        moments.add(after);
        let shape = (after.len() / width.max(1), width);
        let rows = |numbers| ArrayView2::from_shape(shape, numbers).map_err(|error| error.to_string());
        moments.crossed = Some(rows(before)?.t().dot(&rows(after)?));
        Ok(moments)
    }

    /// How many inputs there are.
    pub fn width(&self) -> usize {
        self.products.nrows()
    }

    /// Those of the same inputs, each multiplied with its factor.
    pub fn multiplied(&self, factors: &[f32]) -> Self {
        let scaled = |products: &Array2<f32>| {
            let mut products = products.clone();
            for (mut row, factor) in products.axis_iter_mut(Axis(0)).zip(factors) {
                row.iter_mut().zip(factors).for_each(|(product, other)| *product *= factor * other);
            }
            products
        };
        Self { products: scaled(&self.products), crossed: self.crossed.as_ref().map(scaled) }
    }

    /// The moments with the damping on the diagonal, `[inputs, inputs]`: `e M e^T` is what the errors `e` of an output's
    /// weights cost.
    pub(super) fn damped(&self) -> Array2<f32> {
        damped(&self.products, self.damping())
    }

    fn damping(&self) -> f32 {
        let mean =
            self.products.diag().iter().map(|square| f64::from(*square)).sum::<f64>() / self.width().max(1) as f64;
        if mean > 0.0 { (DAMPING * mean) as f32 } else { 1.0 }
    }

    /// The upper triangle `U` with `U^T U` the inverse of the damped moments: how the error of an input's weight is made
    /// up for by those that follow.
    pub(super) fn correction(&self) -> Array2<f32> {
        let n = self.width();
        // The moments turned about: their lower triangular root is, turned back, an upper one.
        let damped = self.damped();
        let mut turned: Vec<f64> = damped.iter().map(|product| f64::from(*product)).collect();
        turned.reverse();
        let mut identity = Matrix::zeros(n, n);
        identity.add_to_diagonal(1.0);
        let inverse = Root::nearest(Matrix::new(n, n, turned)).solve_triangle(&identity);
        Array2::from_shape_fn((n, n), |(row, column)| inverse.at(n - 1 - row, n - 1 - column) as f32)
    }

    /// The weights that make of the inputs as they are now what `weight`, `[outputs, inputs]`, made of them before.
    pub(super) fn adapted(&self, weight: Array2<f32>, correction: &Array2<f32>) -> Array2<f32> {
        match &self.crossed {
            None => weight,
            Some(crossed) => weight.dot(&damped(crossed, self.damping())).dot(&correction.t()).dot(correction),
        }
    }
}

fn damped(products: &Array2<f32>, damping: f32) -> Array2<f32> {
    let mut damped = products.clone();
    damped.diag_mut().iter_mut().for_each(|square| *square += damping);
    damped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seed: u64, count: usize) -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..count).map(|_| random.f32() - 0.4).collect()
    }

    #[test]
    fn the_correction_is_a_root_of_the_inverse() {
        let n = 60;
        let mut moments = Moments::new(n);
        moments.add(&numbers(2, 90 * n));
        let upper = moments.correction();
        assert!(upper.indexed_iter().all(|((row, column), number)| column >= row || *number == 0.0));
        let one = upper.t().dot(&upper).dot(&moments.damped());
        let apart = (one - Array2::<f32>::eye(n)).iter().map(|x| x.abs()).fold(0.0, f32::max);
        assert!(apart < 1e-3, "{apart}");
    }

    #[test]
    fn adapted_weights_make_good_for_what_happened_to_the_inputs() {
        let (n, rows) = (8, 200);
        let before = numbers(3, rows * n);
        let after: Vec<f32> = before.iter().enumerate().map(|(at, x)| if at % n == 5 { 0.5 * x } else { *x }).collect();
        let moments = Moments::between(&before, &after, n).unwrap();
        let adapted = moments.adapted(Array2::ones((1, n)), &moments.correction());
        assert!((adapted[(0, 5)] - 2.0).abs() < 0.15 && (adapted[(0, 4)] - 1.0).abs() < 0.05, "{adapted}");
        assert!(Moments::between(&before[n..], &after, n).is_err());
    }
}
