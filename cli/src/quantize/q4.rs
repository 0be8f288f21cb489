//! Rounding to 4 bits in blocks of 32 that makes good for its own errors, as GPTQ does (Frantar et al. 2022).
//!
//! What a layer's inputs look like tells how much each weight's error costs, and how the weights that are rounded later
//! can make up for it.

use emberlite::ops::Q4Blocks;
use half::f16;

use super::moments::Moments;

/// How many inputs share a scale.
const BLOCK: usize = 32;
/// The least whole number; the greatest is 7.
const LEAST: f32 = -8.0;
/// Parts of the greatest weight that are tried as 8 steps of the scale, in hundredths.
const STEPS: std::ops::RangeInclusive<u16> = 70..=120;
/// How far apart they are.
const STRIDE: usize = 2;

/// Rounds `weight`, `[outputs, inputs]` in row-major order, for inputs with these moments.
///
/// # Errors
/// Moments of another width.
pub(super) fn rounded(weight: &[f32], outputs: usize, inputs: usize, moments: &Moments) -> Result<Q4Blocks, String> {
    if moments.width() != inputs || weight.len() != outputs * inputs {
        return Err(format!("a layer from {inputs} to {outputs} was observed as one of {} inputs", moments.width()));
    }
    let correction = moments.correction();
    let weights = moments.diagonal();
    let blocks = inputs.div_ceil(BLOCK);
    let mut rounded = Q4Blocks {
        outputs,
        inputs,
        scales: Vec::with_capacity(outputs * blocks),
        values: Vec::with_capacity(outputs * inputs),
    };
    for row in weight.chunks_exact(inputs.max(1)) {
        round_row(row.to_vec(), &correction, &weights, &mut rounded);
    }
    Ok(rounded)
}

/// Rounds a row from left to right; what is left of it makes up for each error.
fn round_row(mut row: Vec<f32>, correction: &[f32], weights: &[f32], rounded: &mut Q4Blocks) {
    let inputs = row.len();
    for start in (0..inputs).step_by(BLOCK) {
        let end = inputs.min(start + BLOCK);
        let scale = best_scale(&row[start..end], &weights[start..end]);
        rounded.scales.push(scale);
        let scale = scale.to_f32();
        for input in start..end {
            let whole = whole(row[input], scale);
            rounded.values.push((whole - LEAST) as u8);
            let factors = &correction[input * inputs + input..(input + 1) * inputs];
            let error = (row[input] - whole * scale) / factors[0];
            for (later, factor) in row[input + 1..].iter_mut().zip(&factors[1..]) {
                *later -= error * factor;
            }
        }
    }
}

/// The whole number that stands for a weight.
fn whole(weight: f32, scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { (weight / scale).round().clamp(LEAST, -LEAST - 1.0) }
}

/// The scale with the least squared error, each weight's times what its input is like. The scale has the sign that gives
/// the greatest weight the number -8.
fn best_scale(block: &[f32], weights: &[f32]) -> f16 {
    let greatest =
        block.iter().copied().fold(0.0f32, |greatest, x| if x.abs() > greatest.abs() { x } else { greatest });
    let candidates = STEPS.step_by(STRIDE).map(|part| f16::from_f32(greatest * f32::from(part) / 100.0 / LEAST));
    let error = |scale: &f16| -> f32 {
        let scale = scale.to_f32();
        let square = |(x, weight): (&f32, &f32)| weight * (x - whole(*x, scale) * scale).powi(2);
        block.iter().zip(weights).map(square).sum()
    };
    let best = candidates.map(|scale| (error(&scale), scale)).min_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map_or(f16::ZERO, |(_, scale)| scale)
}

#[cfg(test)]
mod tests {
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
