//! Rows of an embedding table, added up.

pub mod nibbles;

use crate::Isa;
use crate::lanes::{Lanes, tiers};
use crate::linear::Weights;
use crate::linear::blocks::{BLOCK, ZERO, read_scale, read_value};
use crate::linear::pack::{float_index, int8_index};

/// The numbers of a table.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// As they are.
    F32(&'a [f32]),
    /// Half precision, as bits.
    F16(&'a [u16]),
    /// Whole numbers, each row with its scale.
    Int8(&'a [i8], &'a [f32]),
    /// Numbers of 4 bits and the scales of their blocks, as [`nibbles`] lays them out.
    Q4(&'a [u8], &'a [u16]),
    /// The panels of a linear layer, a row for each of its outputs.
    Panels {
        /// The layer's weights.
        weights: Weights<'a>,
        /// How many outputs it has.
        outputs: usize,
    },
}

/// A table of rows.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// How long a row is.
    pub width: usize,
    /// Row after row.
    pub values: Values<'a>,
}

impl Rows<'_> {
    /// How many rows there are.
    pub fn count(&self) -> usize {
        let length = match self.values {
            Values::F32(values) => values.len(),
            Values::F16(values) => values.len(),
            Values::Int8(values, scales) => values.len().min(scales.len().saturating_mul(self.width)),
            Values::Q4(values, scales) => {
                let (row, blocks) = ((self.width / 2).max(1), self.width.div_ceil(nibbles::BLOCK).max(1));
                let even = self.width.is_multiple_of(2);
                return if even { (values.len() / row).min(scales.len() / blocks) } else { 0 };
            }
            Values::Panels { weights, outputs } => {
                return if weights.fit(self.width, outputs) { outputs } else { 0 };
            }
        };
        length / self.width.max(1)
    }
}

/// Adds a row of a table to `out`, or with `first` writes it there.
///
/// # Panics
/// If there is no such row, or `out` is not as long as one.
pub fn add_row(isa: Isa, table: &Rows<'_>, row: usize, first: bool, out: &mut [f32]) {
    assert!(row < table.count() && out.len() == table.width, "row {row} of {}", table.count());
    if let Values::Panels { weights, .. } = table.values {
        for (i, out) in out.iter_mut().enumerate() {
            let number = weight(&weights, table.width, row, i);
            *out = if first { number } else { *out + number };
        }
        return;
    }
    // SAFETY: the row is within the table and as long as `out`; the instruction set is available.
    unsafe { add(isa, table, row, first, out.as_mut_ptr()) }
}

/// The weight of an output and an input in a layer's panels.
fn weight(weights: &Weights<'_>, inputs: usize, output: usize, input: usize) -> f32 {
    match weights {
        Weights::F32(values) => values[float_index(inputs, output, input)],
        Weights::F16(bits) => half::f16::from_bits(bits[float_index(inputs, output, input)]).to_f32(),
        Weights::Bf16(bits) => half::bf16::from_bits(bits[float_index(inputs, output, input)]).to_f32(),
        Weights::Int8 { values, scales, .. } => f32::from(values[int8_index(inputs, output, input)]) * scales[output],
        Weights::SparseInt8 { blocks, scales, .. } => f32::from(blocks.value(output, input)) * scales[output],
        Weights::Q4(bytes) => {
            let value = f32::from(read_value(bytes, inputs, output, input)) - f32::from(ZERO);
            value * read_scale(bytes, inputs, output, input / BLOCK).to_f32()
        }
    }
}

tiers! {
    unsafe fn add(table: &Rows<'_>, row: usize, first: bool, out: *mut f32) = add_lanes;
}

#[inline(always)]
unsafe fn add_lanes<L: Lanes>(table: &Rows<'_>, row: usize, first: bool, out: *mut f32) {
    let width = table.width;
    let start = row * width;
    let whole = width - width % L::WIDTH;
    // SAFETY: the row is within the table; `out` has `width` elements.
    unsafe {
        let put = |i: usize, v: L::V| {
            let to = out.add(i);
            L::store(to, if first { v } else { L::add(L::load(to), v) });
        };
        let put_one = |i: usize, v: f32| {
            let to = out.add(i);
            *to = if first { v } else { *to + v };
        };
        match table.values {
            Values::F32(values) => {
                let from = values.as_ptr().add(start);
                (0..whole).step_by(L::WIDTH).for_each(|i| put(i, L::load(from.add(i))));
                (whole..width).for_each(|i| put_one(i, *from.add(i)));
            }
            Values::F16(values) => {
                let from = values.as_ptr().add(start);
                (0..whole).step_by(L::WIDTH).for_each(|i| put(i, L::load_f16(from.add(i))));
                (whole..width).for_each(|i| put_one(i, half::f16::from_bits(*from.add(i)).to_f32()));
            }
            Values::Int8(values, scales) => {
                let from = values.as_ptr().add(start);
                let scale = scales[row];
                let factor = L::splat(scale);
                (0..whole).step_by(L::WIDTH).for_each(|i| put(i, L::mul(L::load_i8(from.add(i)), factor)));
                (whole..width).for_each(|i| put_one(i, f32::from(*from.add(i)) * scale));
            }
            Values::Q4(values, scales) => {
                let scales = scales.as_ptr().add(row * width.div_ceil(nibbles::BLOCK));
                nibbles::add(values.as_ptr().add(start / 2), scales, width, first, out);
            }
            Values::Panels { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_added_as_they_stand(
            (width, numbers) in (1usize..50).prop_flat_map(|width| (Just(width), prop::collection::vec(-127i8..=127, 3 * width))),
            row in 0usize..3,
        ) {
            let floats: Vec<f32> = numbers.iter().map(|x| f32::from(*x) / 4.0).collect();
            let halves: Vec<u16> = floats.iter().map(|x| half::f16::from_f32(*x).to_bits()).collect();
            let scales = [0.25; 3];
            let tables = [Values::F32(&floats), Values::F16(&halves), Values::Int8(&numbers, &scales)];
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                for values in tables {
                    let table = Rows { width, values };
                    prop_assert_eq!(table.count(), 3);
                    let mut out = vec![f32::NAN; width];
                    add_row(isa, &table, row, true, &mut out);
                    add_row(isa, &table, 0, false, &mut out);
                    for (i, got) in out.iter().enumerate() {
                        prop_assert_eq!(*got, floats[row * width + i] + floats[i]);
                    }
                }
            }
        }
    }
}
