//! Rounding to 4 bits in blocks of 32 that makes good for its own errors.
//!
//! What a layer's inputs look like tells how much each weight's error costs, and how the weights that are rounded later
//! can make up for it (GPTQ, Frantar et al. 2022). What was rounded is then gone over again: each scale becomes the best
//! one for its block's whole numbers, and each whole number moves to where the error of the layer's outputs is least,
//! until none moves. A step of either kind is taken only where the error shrinks.

use emberlite::ops::Q4Blocks;
use half::f16;
use tract_core::internal::tract_ndarray::linalg::general_mat_mul;
use tract_core::internal::tract_ndarray::{Array2, ArrayView2, ArrayViewMut1, Axis, s};

use super::moments::Moments;

/// How many inputs share a scale.
const BLOCK: usize = 32;
/// The least whole number; the greatest is 7.
const LEAST: f32 = -8.0;
/// Parts of the greatest weight that are tried as 8 steps of the scale, in hundredths.
const STEPS: std::ops::RangeInclusive<u16> = 60..=120;
/// How far apart they are.
const STRIDE: usize = 2;
/// How often what was rounded is gone over again at most.
const SWEEPS: usize = 8;

/// Rounds `weight`, `[outputs, inputs]` in row-major order, for inputs with these moments.
///
/// # Errors
/// Moments of another width.
pub(super) fn rounded(weight: &[f32], outputs: usize, inputs: usize, moments: &Moments) -> Result<Q4Blocks, String> {
    let mismatch = |_| format!("{} weights are no layer from {inputs} to {outputs}", weight.len());
    let weight = ArrayView2::from_shape((outputs, inputs), weight).map_err(mismatch)?;
    if moments.width() != inputs {
        return Err(format!("a layer from {inputs} to {outputs} was observed as one of {} inputs", moments.width()));
    }
    let correction = moments.correction();
    let wanted = moments.adapted(weight.to_owned(), &correction);
    let moments = moments.damped();
    let mut rounding = Rounding::new(outputs, inputs);
    rounding.round(wanted.clone(), &correction, &moments);
    rounding.refine(&wanted, &moments);
    Ok(rounding.into_blocks())
}

/// Weights of 4 bits in the making.
struct Rounding {
    /// `[outputs, inputs]`, whole numbers from -8 to 7.
    whole: Array2<f32>,
    /// `[outputs, inputs / 32]`, numbers of half precision.
    scales: Array2<f32>,
}

impl Rounding {
    fn new(outputs: usize, inputs: usize) -> Self {
        Self { whole: Array2::zeros((outputs, inputs)), scales: Array2::zeros((outputs, inputs.div_ceil(BLOCK))) }
    }

    /// Rounds from left to right; what is left of each output's weights makes up for each error.
    fn round(&mut self, mut weight: Array2<f32>, correction: &Array2<f32>, moments: &Array2<f32>) {
        let (outputs, inputs) = weight.dim();
        for (block, start) in (0..inputs).step_by(BLOCK).enumerate() {
            let end = inputs.min(start + BLOCK);
            let costs: Vec<f32> = (start..end).map(|input| moments[(input, input)]).collect();
            let mut errors = Array2::<f32>::zeros((outputs, end - start));
            for output in 0..outputs {
                let mut row = weight.slice(s![output, start..end]).to_vec();
                let scale = best_scale(&row, &costs);
                self.scales[(output, block)] = scale;
                for at in 0..row.len() {
                    let whole = whole(row[at], scale);
                    self.whole[(output, start + at)] = whole;
                    let error = (row[at] - whole * scale) / correction[(start + at, start + at)];
                    errors[(output, at)] = error;
                    for (later, weight) in row.iter_mut().enumerate().skip(at + 1) {
                        *weight -= error * correction[(start + at, start + later)];
                    }
                }
            }
            let mut rest = weight.slice_mut(s![.., end..]);
            general_mat_mul(-1.0, &errors, &correction.slice(s![start..end, end..]), 1.0, &mut rest);
        }
    }

    /// Goes over what was rounded, block by block, until nothing changes.
    fn refine(&mut self, wanted: &Array2<f32>, moments: &Array2<f32>) {
        let inputs = wanted.ncols();
        // By output and input: half of how fast the error shrinks while the weight grows.
        let mut slope = (wanted - &self.dense()).dot(moments);
        for _ in 0..SWEEPS {
            let mut changed = false;
            for (block, start) in (0..inputs).step_by(BLOCK).enumerate() {
                let end = inputs.min(start + BLOCK);
                let own = moments.slice(s![start..end, start..end]);
                let mut moved = Array2::<f32>::zeros((wanted.nrows(), end - start));
                for (output, mut moved) in moved.axis_iter_mut(Axis(0)).enumerate() {
                    let mut slope = slope.slice(s![output, start..end]).to_vec();
                    let whole = self.whole.slice_mut(s![output, start..end]);
                    let scale = &mut self.scales[(output, block)];
                    changed |= refine_block(whole, scale, &mut slope, own, &mut moved);
                }
                general_mat_mul(-1.0, &moved, &moments.slice(s![start..end, ..]), 1.0, &mut slope);
            }
            if !changed {
                break;
            }
        }
    }

    /// The weights that they stand for.
    fn dense(&self) -> Array2<f32> {
        let number =
            |(output, input): (usize, usize)| self.whole[(output, input)] * self.scales[(output, input / BLOCK)];
        Array2::from_shape_fn(self.whole.dim(), number)
    }

    fn into_blocks(self) -> Q4Blocks {
        let (outputs, inputs) = self.whole.dim();
        let scales = self.scales.iter().map(|scale| f16::from_f32(*scale)).collect();
        Q4Blocks { outputs, inputs, scales, values: self.whole.iter().map(|whole| (whole - LEAST) as u8).collect() }
    }
}

/// Finds a better scale and better whole numbers for a block of an output's weights, and notes by how much its weights
/// grew; tells whether there were any.
fn refine_block(
    mut whole: ArrayViewMut1<'_, f32>,
    scale: &mut f32,
    slope: &mut [f32],
    moments: ArrayView2<'_, f32>,
    moved: &mut ArrayViewMut1<'_, f32>,
) -> bool {
    let mut changed = false;
    // What an error costs that grows as the block's whole numbers do.
    let products = moments.dot(&whole);
    let curve = products.dot(&whole);
    let gain: f32 = whole.iter().zip(&*slope).map(|(whole, slope)| whole * slope).sum();
    if curve > 0.0 {
        let better = f16::from_f32(*scale + gain / curve).to_f32();
        let growth = better - *scale;
        if better.is_finite() && growth * (growth * curve - 2.0 * gain) < 0.0 {
            slope.iter_mut().zip(&products).for_each(|(slope, product)| *slope -= growth * product);
            moved.scaled_add(growth, &whole);
            *scale = better;
            changed = true;
        }
    }
    if *scale == 0.0 {
        return changed;
    }
    for at in 0..whole.len() {
        let curve = moments[(at, at)];
        let step = (slope[at] / curve / *scale).round();
        let next = (whole[at] + step).clamp(LEAST, -LEAST - 1.0);
        let growth = (next - whole[at]) * *scale;
        if growth * (growth * curve - 2.0 * slope[at]) < 0.0 {
            whole[at] = next;
            moved[at] += growth;
            slope.iter_mut().zip(moments.row(at)).for_each(|(slope, product)| *slope -= growth * product);
            changed = true;
        }
    }
    changed
}

/// The whole number that stands for a weight.
fn whole(weight: f32, scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { (weight / scale).round().clamp(LEAST, -LEAST - 1.0) }
}

/// The scale, of half precision, with the least squared error, each weight's times what it costs. It has the sign that
/// gives the greatest weight the number -8.
fn best_scale(block: &[f32], costs: &[f32]) -> f32 {
    let greatest =
        block.iter().copied().fold(0.0f32, |greatest, x| if x.abs() > greatest.abs() { x } else { greatest });
    let candidates = STEPS.step_by(STRIDE).map(|part| f16::from_f32(greatest * f32::from(part) / 100.0 / LEAST));
    let error = |scale: f32| -> f32 {
        let square = |(x, cost): (&f32, &f32)| cost * (x - whole(*x, scale) * scale).powi(2);
        block.iter().zip(costs).map(square).sum()
    };
    let candidates = candidates.map(f16::to_f32).map(|scale| (error(scale), scale));
    candidates.min_by(|(a, _), (b, _)| a.total_cmp(b)).map_or(0.0, |(_, scale)| scale)
}

#[cfg(test)]
mod tests {
    use super::super::observe::Notes;
    use super::*;

    /// The weights that blocks stand for, `[outputs, inputs]`.
    fn dense(blocks: &Q4Blocks) -> Vec<f32> {
        let per_row = blocks.inputs.div_ceil(BLOCK);
        let rows = blocks.values.chunks_exact(blocks.inputs.max(1)).zip(blocks.scales.chunks_exact(per_row.max(1)));
        let row = |(values, scales): (&[u8], &[f16])| {
            let blocks = values.chunks(BLOCK).zip(scales);
            let block = |(values, scale): (&[u8], &f16)| {
                let scale = scale.to_f32();
                values.iter().map(move |value| (f32::from(*value) + LEAST) * scale).collect::<Vec<_>>()
            };
            blocks.flat_map(block).collect::<Vec<_>>()
        };
        rows.flat_map(row).collect()
    }

    /// Inputs that depend on each other, and a layer over them.
    fn layer(inputs: usize, outputs: usize) -> (Moments, Vec<f32>, Vec<f32>) {
        let mut random = fastrand::Rng::with_seed(1);
        let mut normal = move || (0..6).map(|_| random.f32() - 0.5).sum::<f32>();
        let rows = 4 * inputs;
        let mut x = Vec::with_capacity(rows * inputs);
        for _ in 0..rows {
            let common = normal();
            x.extend((0..inputs).map(|input| (normal() + 2.0 * common) * if input % 7 == 0 { 3.0 } else { 0.5 }));
        }
        let mut moments = Moments::new(inputs);
        moments.add(&x);
        (moments, x, (0..inputs * outputs).map(|_| normal()).collect())
    }

    fn output_error(weight: &[f32], other: &[f32], x: &[f32], inputs: usize) -> f32 {
        let error = |(a, b): (&[f32], &[f32])| -> f32 {
            let difference: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
            let dot = |row: &[f32]| row.iter().zip(&difference).map(|(a, b)| a * b).sum::<f32>();
            x.chunks_exact(inputs).map(|row| dot(row).powi(2)).sum()
        };
        weight.chunks_exact(inputs).zip(other.chunks_exact(inputs)).map(error).sum()
    }

    #[test]
    fn outputs_are_nearer_than_with_each_weight_rounded_by_itself() {
        let (inputs, outputs) = (96, 12);
        let (moments, x, weight) = layer(inputs, outputs);
        let nearest = {
            let mut identity = Moments::new(inputs);
            identity.add(
                &(0..inputs * inputs).map(|at| if at % (inputs + 1) == 0 { 1.0 } else { 0.0 }).collect::<Vec<_>>(),
            );
            dense(&rounded(&weight, outputs, inputs, &identity).unwrap())
        };
        let made_good = dense(&rounded(&weight, outputs, inputs, &moments).unwrap());
        let (plain, better) =
            (output_error(&weight, &nearest, &x, inputs), output_error(&weight, &made_good, &x, inputs));
        assert!(better < 0.6 * plain, "{better} {plain}");
    }

    #[test]
    fn rows_of_any_length_are_rounded() {
        for inputs in [1, 31, 33, 64] {
            let (moments, _, weight) = layer(inputs, 3);
            let blocks = rounded(&weight, 3, inputs, &moments).unwrap();
            assert_eq!((blocks.scales.len(), blocks.values.len()), (3 * inputs.div_ceil(32), 3 * inputs));
            let near = weight.iter().zip(dense(&blocks)).all(|(a, b)| (a - b).abs() < 1.0);
            assert!(near && blocks.values.iter().all(|value| *value < 16), "{inputs}");
        }
    }

    #[test]
    fn a_layer_whose_inputs_were_always_zero_keeps_its_weights() {
        let (_, _, weight) = layer(64, 2);
        let blocks = rounded(&weight, 2, 64, &Moments::new(64)).unwrap();
        assert!(weight.iter().zip(dense(&blocks)).all(|(a, b)| (a - b).abs() < 0.3));
    }
}
