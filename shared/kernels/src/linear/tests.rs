//! Layers of every format and instruction set against plain arithmetic.

use proptest::prelude::*;

use super::{GROUP, Linear, Range, Weights, blocks, pack, sparse};
use crate::embedding::{Rows, Values, add_row};
use crate::{Activation, Isa};

/// A layer, its input, and what it is to give.
#[derive(Clone, Debug)]
struct Case {
    inputs: usize,
    outputs: usize,
    weight: Vec<f32>,
    bias: Vec<f32>,
    x: Vec<f32>,
    residual: Option<Vec<f32>>,
    activation: Option<Activation>,
}

fn cases() -> impl Strategy<Value = Case> {
    let sizes = (1usize..90, 1usize..150, 0usize..20, any::<bool>(), 0usize..3);
    sizes.prop_flat_map(|(inputs, outputs, rows, added, activation)| {
        let numbers = |count| prop::collection::vec(-2f32..2.0, count);
        (numbers(inputs * outputs), numbers(outputs), numbers(rows * inputs), numbers(rows * outputs)).prop_map(
            move |(weight, bias, x, residual)| Case {
                inputs,
                outputs,
                weight,
                bias,
                x,
                residual: added.then_some(residual),
                activation: [None, Some(Activation::Gelu), Some(Activation::Relu)][activation],
            },
        )
    })
}

/// A layer of these sizes to which nothing is added.
fn plain(inputs: usize, outputs: usize) -> Linear<'static> {
    Linear { inputs, outputs, weights: Weights::F32(&[]), bias: &[], activation: None, factors: &[], range: None }
}

impl Case {
    fn run(&self, isa: Isa, weights: Weights<'_>) -> Vec<f32> {
        self.run_with(isa, weights, &[], None)
    }

    fn run_with(&self, isa: Isa, weights: Weights<'_>, factors: &[f32], range: Option<Range>) -> Vec<f32> {
        let bias = pack::padded(&self.bias);
        let layer = Linear {
            weights,
            bias: &bias,
            activation: self.activation,
            factors,
            range,
            ..plain(self.inputs, self.outputs)
        };
        let mut out = vec![f32::NAN; self.x.len() / self.inputs * self.outputs];
        layer.run(isa, &self.x, self.residual.as_deref(), &mut out);
        out
    }

    /// The layer with these sums of products.
    fn expected(&self, sums: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        let rows = self.x.len() / self.inputs;
        let places = (0..rows).flat_map(|row| (0..self.outputs).map(move |output| (row, output)));
        places
            .map(|(row, output)| {
                let mut sum = [(sums(row, output) + f64::from(self.bias[output])) as f32];
                if let Some(activation) = self.activation {
                    crate::activate(Isa::Portable, activation, &mut sum);
                }
                let residual = self.residual.as_ref().map_or(0.0, |residual| residual[row * self.outputs + output]);
                f64::from(sum[0]) + f64::from(residual)
            })
            .collect()
    }

    fn product(&self, weight: &[f32], row: usize, output: usize) -> f64 {
        let x = &self.x[row * self.inputs..][..self.inputs];
        let w = &weight[output * self.inputs..][..self.inputs];
        x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum()
    }
}

fn available() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

fn close(got: &[f32], expected: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(got.len(), expected.len());
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let difference = (f64::from(*got) - expected).abs();
        prop_assert!(difference <= tolerance * expected.abs().max(1.0), "element {}: {} {}", i, got, expected);
    }
    Ok(())
}

/// A row of activations as the kernel is to quantize it: levels from 0, their scale and zero point.
fn quantized(row: &[f32], levels: f32) -> (Vec<i64>, f32, i64) {
    let low = row.iter().fold(0f32, |low, x| low.min(*x));
    let high = row.iter().fold(0f32, |high, x| high.max(*x));
    let step = if high > low { (high - low) / levels } else { 1.0 };
    let zero = (-low / step).round() as i64;
    let factor = 1.0 / step;
    let level = |x: &f32| ((x * factor).round_ties_even() as i64 + zero).clamp(0, levels as i64);
    (row.iter().map(level).collect(), step, zero)
}

proptest! {
    #[test]
    fn float_layers_are_those_of_double_precision(case in cases()) {
        let panels = pack::float(&case.weight, case.inputs, case.outputs);
        prop_assert_eq!(&pack::dense(&panels, case.inputs, case.outputs), &case.weight);
        let halves: Vec<u16> = panels.iter().map(|x| half::f16::from_f32(*x).to_bits()).collect();
        let brains: Vec<u16> = panels.iter().map(|x| half::bf16::from_f32(*x).to_bits()).collect();
        let rounded = |round: &dyn Fn(f32) -> f32| case.weight.iter().map(|x| round(*x)).collect::<Vec<_>>();
        let formats = [
            (Weights::F32(&panels), case.weight.clone()),
            (Weights::F16(&halves), rounded(&|x| half::f16::from_f32(x).to_f32())),
            (Weights::Bf16(&brains), rounded(&|x| half::bf16::from_f32(x).to_f32())),
        ];
        for (weights, dense) in formats {
            let expected = case.expected(|row, output| case.product(&dense, row, output));
            for isa in available() {
                close(&case.run(isa, weights), &expected, 2e-5)?;
            }
        }
    }

    #[test]
    fn int8_layers_are_exact_but_for_the_quantization(case in cases()) {
        let packed = pack::int8(&case.weight, case.inputs, case.outputs);
        let weights = Weights::Int8 { values: &packed.values, scales: &packed.scales, sums: &packed.sums };
        let dense = pack::dense_int8(&packed.values, &packed.scales, case.inputs, case.outputs);
        let rows: Vec<_> = case.weight.chunks_exact(case.inputs).map(pack::quantize).collect();
        for isa in available() {
            let levels: Vec<_> = case.x.chunks_exact(case.inputs).map(|row| quantized(row, isa.levels())).collect();
            let expected = case.expected(|row, output| {
                let (levels, step, zero) = &levels[row];
                let (scale, weights) = &rows[output];
                let sum: i64 = levels.iter().zip(weights).map(|(level, w)| (level - zero) * i64::from(*w)).sum();
                sum as f64 * f64::from(*step) * f64::from(*scale)
            });
            let got = case.run(isa, weights);
            close(&got, &expected, 2e-5)?;
            let unquantized = case.expected(|row, output| case.product(&dense, row, output));
            let bound = 4.0 / f64::from(isa.levels()) * 2.0 * case.inputs as f64;
            close(&got, &unquantized, bound)?;
        }
    }
}

/// The case with some of its blocks empty.
fn with_empty_blocks(mut case: Case, seed: u64) -> Case {
    let inputs = case.inputs;
    for (at, weight) in case.weight.iter_mut().enumerate() {
        let block = (at / inputs / sparse::PANEL * inputs + at % inputs / GROUP) as u64;
        if (block ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 62 > 0 {
            *weight = 0.0;
        }
    }
    case
}

proptest! {
    #[test]
    fn int8_layers_without_their_empty_blocks_give_the_same(case in cases(), seed: u64, high in 0.5f32..3.0) {
        let case = with_empty_blocks(case, seed);
        let (inputs, outputs) = (case.inputs, case.outputs);
        let pack::Int8 { values, scales, sums } = pack::int8(&case.weight, inputs, outputs);
        let sparse::Packed { values: left, groups, starts } = sparse::pack(&values, inputs, outputs);
        prop_assert!(groups.len() <= sparse::count(inputs, outputs));
        let blocks = sparse::Blocks { values: &left, groups: &groups, starts: &starts };
        prop_assert_eq!(&sparse::unpack(blocks, inputs, outputs), &values);
        let whole = Weights::Int8 { values: &values, scales: &scales, sums: &sums };
        let sparse = Weights::SparseInt8 { blocks, scales: &scales, sums: &sums };
        let table = |weights| Rows { width: inputs, values: Values::Panels { weights, outputs } };
        let (mut row, mut same) = (vec![0.0; inputs], vec![0.0; inputs]);
        add_row(Isa::Portable, &table(whole), outputs - 1, true, &mut row);
        add_row(Isa::Portable, &table(sparse), outputs - 1, true, &mut same);
        prop_assert_eq!(row, same);
        for isa in available() {
            prop_assert_eq!(case.run(isa, sparse), case.run(isa, whole));
            let (factors, range) = (factors(inputs), Range::new(-1.0, high).ok());
            prop_assert_eq!(case.run_with(isa, sparse, &factors, range), case.run_with(isa, whole, &factors, range));
        }
    }

    #[test]
    fn blocks_that_are_of_no_layer_stay_within_bounds(
        case in cases(),
        mut groups in prop::collection::vec(any::<u16>(), 0..60),
        mut starts in prop::collection::vec(0u32..80, 12),
    ) {
        groups.truncate(starts[0] as usize);
        starts.truncate(case.outputs.div_ceil(sparse::PANEL) + 1);
        starts.pop();
        starts.push(groups.len() as u32);
        let values = vec![1; groups.len() * sparse::BLOCK];
        let terms = vec![1.0; case.outputs.next_multiple_of(super::PANEL)];
        let blocks = sparse::Blocks { values: &values, groups: &groups, starts: &starts };
        for isa in available() {
            case.run(isa, Weights::SparseInt8 { blocks, scales: &terms, sums: &terms });
        }
    }
}

/// What each number of a row is multiplied with.
fn factors(inputs: usize) -> Vec<f32> {
    (0..inputs).map(|i| ((i * 37) % 17) as f32 / 8.0 + 0.1).collect()
}

fn multiplied(row: &[f32], factors: &[f32]) -> Vec<f32> {
    row.iter().zip(factors).map(|(x, factor)| x * factor).collect()
}

/// A row of activations as the kernel is to quantize it over a fixed range: levels from 0, their scale and zero point.
fn quantized_over(row: &[f32], low: f32, high: f32, levels: f32) -> (Vec<i64>, f32, i64) {
    let step = (high - low) / levels;
    let zero = (-low / step).round() as i64;
    let factor = 1.0 / step;
    let level = |x: &f32| ((x.clamp(low, high) * factor).round_ties_even() as i64 + zero).clamp(0, levels as i64);
    (row.iter().map(level).collect(), step, zero)
}

proptest! {
    #[test]
    fn int8_rows_are_multiplied_and_quantized_over_a_fixed_range(case in cases(), low in 0f32..3.0, high in 0.01f32..3.0) {
        let packed = pack::int8(&case.weight, case.inputs, case.outputs);
        let weights = Weights::Int8 { values: &packed.values, scales: &packed.scales, sums: &packed.sums };
        let rows: Vec<_> = case.weight.chunks_exact(case.inputs).map(pack::quantize).collect();
        let factors = factors(case.inputs);
        for isa in available() {
            for range in [None, Some(Range::new(-low, high).unwrap())] {
                let levels: Vec<_> = case.x.chunks_exact(case.inputs).map(|row| {
                    let row = multiplied(row, &factors);
                    match range {
                        Some(_) => quantized_over(&row, -low, high, isa.levels()),
                        None => quantized(&row, isa.levels()),
                    }
                }).collect();
                let expected = case.expected(|row, output| {
                    let (levels, step, zero) = &levels[row];
                    let (scale, weights) = &rows[output];
                    let sum: i64 = levels.iter().zip(weights).map(|(level, w)| (level - zero) * i64::from(*w)).sum();
                    sum as f64 * f64::from(*step) * f64::from(*scale)
                });
                close(&case.run_with(isa, weights, &factors, range), &expected, 2e-5)?;
            }
        }
    }

    #[test]
    fn four_bit_rows_are_multiplied_first(case in cases()) {
        let rounded = blocks::round(&case.weight, case.inputs);
        let packed = blocks::pack(&rounded, case.inputs, case.outputs);
        let factors = factors(case.inputs);
        let rows = case.x.chunks_exact(case.inputs).flat_map(|row| multiplied(row, &factors)).collect();
        let multiplied = Case { x: rows, ..case.clone() };
        for isa in available() {
            let expected = multiplied.run(isa, Weights::Q4(&packed));
            prop_assert_eq!(case.run_with(isa, Weights::Q4(&packed), &factors, None), expected);
        }
    }
}

#[test]
fn what_lies_beyond_a_fixed_range_counts_as_its_end() {
    let packed = pack::int8(&[1.0; 20], 20, 1);
    let bias = pack::padded(&[0.0]);
    let weights = Weights::Int8 { values: &packed.values, scales: &packed.scales, sums: &packed.sums };
    let layer = Linear { weights, bias: &bias, range: Some(Range::new(-1.0, 3.0).unwrap()), ..plain(20, 1) };
    for isa in available() {
        for (x, end) in [(f32::INFINITY, 3.0), (1e30, 3.0), (-1e30, -1.0), (f32::NEG_INFINITY, -1.0), (f32::NAN, -1.0)]
        {
            let mut out = [f32::NAN];
            layer.run(isa, &[x; 20], None, &mut out);
            assert!((out[0] - 20.0 * end).abs() < 0.5, "{isa} {x}: {}", out[0]);
        }
    }
}

#[test]
fn a_range_has_zero_in_it() {
    for (low, high) in [(0.0, 0.0), (0.1, 1.0), (-1.0, -0.5), (f32::NAN, 1.0), (0.0, f32::INFINITY), (-3e38, 3e38)] {
        assert!(Range::new(low, high).is_err(), "{low} {high}");
    }
}

#[test]
fn rows_without_a_range_are_layers_of_the_bias() {
    let weight = vec![1.0; 7 * 50];
    let packed = pack::int8(&weight, 7, 50);
    let bias: Vec<f32> = pack::padded(&(0..50).map(|i| i as f32).collect::<Vec<_>>());
    let weights = Weights::Int8 { values: &packed.values, scales: &packed.scales, sums: &packed.sums };
    let layer = Linear { weights, bias: &bias, ..plain(7, 50) };
    for isa in available() {
        for x in [0.0, 1e-42] {
            let mut out = vec![f32::NAN; 50];
            layer.run(isa, &[x; 7], None, &mut out);
            assert_eq!(out, bias[..50], "{isa} {x}");
        }
        let mut out = vec![0.0; 50];
        layer.run(isa, &[f32::INFINITY; 7], None, &mut out);
        assert!(out.iter().all(|y| y.is_nan()), "{isa}");
    }
}

#[test]
fn large_layers_are_split_without_a_seam() {
    let (inputs, outputs, rows) = (64, 400, 300);
    let number = |i: usize| ((i * 7919) % 2003) as f32 / 1000.0 - 1.0;
    let case = Case {
        inputs,
        outputs,
        weight: (0..inputs * outputs).map(number).collect(),
        bias: (0..outputs).map(number).collect(),
        x: (0..rows * inputs).map(number).collect(),
        residual: None,
        activation: None,
    };
    let panels = pack::float(&case.weight, inputs, outputs);
    let expected = case.expected(|row, output| case.product(&case.weight, row, output));
    crate::threads::set(3);
    for isa in available() {
        close(&case.run(isa, Weights::F32(&panels)), &expected, 2e-5).unwrap();
    }
}

/// A row of activations as a 4-bit layer's kernel is to quantize it: levels, and the scale of each block.
fn quantized_blocks(row: &[f32]) -> Vec<(Vec<i64>, f32)> {
    let block = |block: &[f32]| {
        let scale = block.iter().fold(0f32, |far, x| far.max(x.abs())) / 127.0;
        let factor = if scale.is_normal() { 1.0 / scale } else { 0.0 };
        (block.iter().map(|x| (x * factor).round_ties_even() as i64).collect(), scale)
    };
    row.chunks(blocks::BLOCK).map(block).collect()
}

proptest! {
    #[test]
    fn four_bit_layers_are_exact_but_for_the_quantization(case in cases()) {
        let rounded = blocks::round(&case.weight, case.inputs);
        let packed = blocks::pack(&rounded, case.inputs, case.outputs);
        prop_assert_eq!(&blocks::unpack(&packed, case.inputs, case.outputs), &rounded);
        let dense = blocks::dense(&packed, case.inputs, case.outputs);
        for (dense, weight) in dense.iter().zip(&case.weight) {
            prop_assert!((dense - weight).abs() < 2.0 / 8.0 + 0.01);
        }
        let rows: Vec<_> = case.x.chunks_exact(case.inputs).map(quantized_blocks).collect();
        let count = case.inputs.div_ceil(blocks::BLOCK);
        let expected = case.expected(|row, output| {
            let values = rounded.values[output * case.inputs..][..case.inputs].chunks(blocks::BLOCK);
            let scales = &rounded.scales[output * count..][..count];
            let sums = rows[row].iter().zip(values).zip(scales).map(|(((levels, step), values), scale)| {
                let sum: i64 = levels.iter().zip(values).map(|(level, value)| level * (i64::from(*value) - 8)).sum();
                sum as f64 * f64::from(*step) * f64::from(scale.to_f32())
            });
            sums.sum()
        });
        for isa in available() {
            close(&case.run(isa, Weights::Q4(&packed)), &expected, 2e-5)?;
        }
    }
}

#[test]
fn the_farthest_values_of_a_block_do_not_overflow() {
    let (inputs, outputs) = (96, 40);
    for (value, sign) in [(0u8, 1.0f32), (0, -1.0), (15, 1.0), (15, -1.0)] {
        let rounded =
            blocks::Rounded { scales: vec![half::f16::ONE; 3 * outputs], values: vec![value; inputs * outputs] };
        let packed = blocks::pack(&rounded, inputs, outputs);
        let bias = pack::padded(&vec![0.0; outputs]);
        let layer = Linear { weights: Weights::Q4(&packed), bias: &bias, ..plain(inputs, outputs) };
        for isa in available() {
            let mut out = vec![f32::NAN; outputs];
            layer.run(isa, &vec![sign * 127.0; inputs], None, &mut out);
            let expected = sign * 127.0 * (f32::from(value) - 8.0) * inputs as f32;
            assert!(out.iter().all(|y| (y - expected).abs() < 1.0), "{isa} {value} {sign}: {out:?}");
        }
    }
}
