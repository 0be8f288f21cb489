//! A linear layer fitted anew, by least squares, to what it is to give from a part of what it reads.

use anyhow::{Result, anyhow, ensure};
use emberlite::ops::Linear;
use emberlite_algebra::{Block, Elimination, Matrix, Removal, Root, Thinning};
use tract_core::internal::tract_ndarray::linalg::general_mat_mul;
use tract_core::internal::tract_ndarray::{Array2, ArrayView2};

use super::Part;

/// How firmly a layer's present weights are held to, as a part of the mean variance of its inputs, where there are as many
/// rows as inputs; with more rows less. What the inputs to calibrate with tell little of stays as it is.
const DAMPING: f64 = 0.05;
/// The least and the most of that.
const BOUNDS: (f64, f64) = (1e-4, 1.0);

/// How much more firmly where weights are held at zero: as most are left in every layer, they would fit the inputs to
/// calibrate with else, and others less.
const THINNING: f64 = 10.0;

/// Sums over what a layer reads.
#[derive(Clone, Debug)]
pub(super) struct Reads {
    rows: usize,
    /// `[inputs, inputs]`
    squares: Array2<f32>,
    sums: Vec<f64>,
}

impl Reads {
    pub(super) fn new(inputs: usize) -> Self {
        Self { rows: 0, squares: Array2::zeros((inputs, inputs)), sums: vec![0.0; inputs] }
    }

    /// How many rows were read.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds rows of inputs.
    pub(super) fn add(&mut self, read: &[f32]) {
        let inputs = self.sums.len();
        let rows = read.len() / inputs.max(1);
        let Ok(x) = ArrayView2::from_shape((rows, inputs), read) else { return };
        general_mat_mul(1.0, &x.t(), &x, 1.0, &mut self.squares);
        add_rows(&mut self.sums, &x);
        self.rows += rows;
    }

    /// The mean of each input, and their covariance times the rows, damped. Also by how much.
    ///
    /// # Errors
    /// No rows.
    pub(super) fn covariance(&self) -> Result<(Vec<f64>, Matrix, f64)> {
        ensure!(self.rows > 0, "nothing went through the layer");
        let mean = means(&self.sums, self.rows);
        let mut covariance = matrix(&self.squares);
        covariance.add_outer(&mean, &mean, -(self.rows as f64));
        let variance = covariance.diagonal().iter().sum::<f64>() / mean.len().max(1) as f64;
        let part = (DAMPING * mean.len() as f64 / self.rows as f64).clamp(BOUNDS.0, BOUNDS.1);
        let damping = part * variance.max(f64::from(f32::MIN_POSITIVE));
        covariance.add_to_diagonal(damping);
        Ok((mean, covariance, damping))
    }
}

/// Sums over what a layer reads and what it is to give.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    reads: Reads,
    /// `[outputs, inputs]`
    products: Array2<f32>,
    wanted: Vec<f64>,
    /// The sum of the squares of all that is wanted.
    power: f64,
}

impl Sums {
    pub(super) fn new(inputs: usize, outputs: usize) -> Self {
        let products = Array2::zeros((outputs, inputs));
        Self { reads: Reads::new(inputs), products, wanted: vec![0.0; outputs], power: 0.0 }
    }

    /// Adds rows of inputs, and as many rows of what the layer is to give for them.
    pub(super) fn add(&mut self, read: &[f32], wanted: &[f32]) {
        let (outputs, inputs) = self.products.dim();
        let rows = read.len() / inputs.max(1);
        let x = ArrayView2::from_shape((rows, inputs), read);
        let y = ArrayView2::from_shape((rows, outputs), wanted);
        let (Ok(x), Ok(y)) = (x, y) else { return };
        general_mat_mul(1.0, &y.t(), &x, 1.0, &mut self.products);
        add_rows(&mut self.wanted, &y);
        self.power += wanted.iter().map(|number| f64::from(*number) * f64::from(*number)).sum::<f64>();
        self.reads.add(read);
    }
}

fn add_rows(sums: &mut [f64], rows: &ArrayView2<'_, f32>) {
    for row in rows.rows() {
        sums.iter_mut().zip(row).for_each(|(sum, number)| *sum += f64::from(*number));
    }
}

fn means(sums: &[f64], rows: usize) -> Vec<f64> {
    sums.iter().map(|sum| sum / rows as f64).collect()
}

fn matrix(of: &Array2<f32>) -> Matrix {
    Matrix::new(of.nrows(), of.ncols(), of.iter().map(|value| f64::from(*value)).collect())
}

/// A layer that is to be fitted.
#[derive(Clone, Debug)]
pub(super) struct Regression {
    layer: Linear,
    /// The covariance of the inputs, damped.
    covariance: Matrix,
    /// By how much.
    damping: f64,
    /// The covariance of what is wanted with the inputs, damped alike: as if the present weights were wanted too.
    wanted: Matrix,
    mean_read: Vec<f64>,
    mean_wanted: Vec<f64>,
    power: f64,
}

impl Regression {
    /// # Errors
    /// Sums of another layer, or of no rows.
    pub(super) fn new(layer: &Linear, sums: &Sums) -> Result<Self> {
        let (outputs, inputs) = (layer.outputs(), layer.inputs());
        ensure!(sums.products.dim() == (outputs, inputs), "another layer was observed");
        let (mean_read, covariance, damping) = sums.reads.covariance()?;
        let rows = sums.reads.rows;
        let mean_wanted = means(&sums.wanted, rows);
        let mut wanted = matrix(&sums.products);
        wanted.add_outer(&mean_wanted, &mean_read, -(rows as f64));
        wanted.add(&Matrix::from_f32(outputs, inputs, &layer.dense()), damping);
        let power = sums.power - rows as f64 * mean_wanted.iter().map(|mean| mean * mean).sum::<f64>();
        Ok(Self { layer: layer.clone(), covariance, damping, wanted, mean_read, mean_wanted, power: power.max(0.0) })
    }

    /// The units of so many inputs each that go first, and what each adds to the layer's relative squared error.
    pub(super) fn removals(&self, width: usize, count: usize) -> Vec<Removal> {
        let root = Root::nearest(self.covariance.clone());
        let best = root.divide(&self.wanted);
        let mut removals = Elimination::new(&root, &best, width).remove(count);
        let power = self.power.max(f64::MIN_POSITIVE);
        removals.iter_mut().for_each(|removal| removal.cost /= power);
        removals
    }

    /// The moments of what the layer reads, damped, with what it is to give for them, `[outputs, inputs]`, and the sum of the
    /// squares of that.
    pub(super) fn moments(&self) -> (&Matrix, &Matrix, f64) {
        (&self.covariance, &self.wanted, self.power)
    }

    /// The layer that reads only these inputs.
    ///
    /// # Errors
    /// Inputs that it does not have.
    pub(super) fn fitted(&self, kept: &[usize]) -> Result<Linear> {
        let covariance = self.covariance.select_rows(kept).select_columns(kept);
        let mut wanted = self.wanted.select_columns(kept);
        let root = Root::nearest(covariance);
        let mut weight = root.divide(&wanted);
        // Once more, from there: what the inputs tell clearly is fitted as if nothing were damped.
        wanted.add(&weight, self.damping);
        wanted.add(
            &Matrix::from_f32(weight.rows(), self.wanted.columns(), &self.layer.dense()).select_columns(kept),
            -self.damping,
        );
        weight = root.divide(&wanted);
        like(&self.layer, &weight.to_f32(), kept.len(), &self.bias(&weight, kept))
    }

    /// The layer with a part of its blocks held at zero, how many blocks it has, and how many are held.
    ///
    /// # Errors
    /// As [`like`].
    pub(super) fn thinned(&self, block: Block, part: Part) -> Result<(Linear, usize, usize)> {
        let firmer = (THINNING - 1.0) * self.damping;
        let (mut covariance, mut wanted) = (self.covariance.clone(), self.wanted.clone());
        covariance.add_to_diagonal(firmer);
        wanted.add(&Matrix::from_f32(wanted.rows(), wanted.columns(), &self.layer.dense()), firmer);
        let mut thinning = Thinning::new(&covariance, wanted, block);
        let blocks = thinning.blocks();
        let held = part.of(blocks);
        thinning.hold(held);
        let (weight, all) = (thinning.weight(), (0..self.layer.inputs()).collect::<Vec<_>>());
        let layer = like(&self.layer, &weight.to_f32(), all.len(), &self.bias(weight, &all))?;
        Ok((layer, blocks, held))
    }

    /// What is missing to the means that are wanted where a layer has these weights for these inputs.
    fn bias(&self, weight: &Matrix, kept: &[usize]) -> Vec<f32> {
        let of = |output: usize| {
            let given = weight.row(output).iter().zip(kept).map(|(weight, input)| weight * self.mean_read[*input]);
            (self.mean_wanted[output] - given.sum::<f64>()) as f32
        };
        (0..weight.rows()).map(of).collect()
    }
}

/// A layer of other weights `[outputs, inputs]`, and else like another.
///
/// # Errors
/// Weights of another size.
pub(super) fn like(layer: &Linear, weight: &[f32], inputs: usize, bias: &[f32]) -> Result<Linear> {
    let new = Linear::new(weight, bias.len(), inputs, Some(bias)).and_then(|new| new.with_format(layer.format()));
    let mut new = new.map_err(|reason| anyhow!(reason))?;
    if let Some(activation) = layer.activation() {
        new = new.with_activation(activation);
    }
    Ok(if layer.has_residual() { new.with_residual() } else { new })
}

/// The layer with only these of its outputs.
///
/// # Errors
/// Outputs that it does not have.
pub(super) fn with_outputs(layer: &Linear, kept: &[usize]) -> Result<Linear> {
    let dense = Matrix::from_f32(layer.outputs(), layer.inputs(), &layer.dense()).select_rows(kept);
    let bias: Vec<f32> = kept.iter().map(|output| layer.bias()[*output]).collect();
    like(layer, &dense.to_f32(), layer.inputs(), &bias)
}
