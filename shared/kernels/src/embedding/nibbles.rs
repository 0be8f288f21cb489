//! Rows of a table as numbers of 4 bits, in blocks with a scale each.
//!
//! A block is [`BLOCK`] numbers of a row, less at its end: whole numbers from 0 to 15, less 8, times the scale. Its bytes
//! hold the first half of them in their low halves and the second in their high ones. So a row has an even length.

use half::f16;

/// How many numbers share a scale.
pub const BLOCK: usize = 128;
/// The value that stands for zero.
const ZERO: f32 = 8.0;
/// Parts of the greatest number, in hundredths, that are tried as 8 steps of the scale.
const STEPS: std::ops::RangeInclusive<u8> = 60..=110;

/// Rows in 4 bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Nibbles {
    /// `[rows][width / 2]`
    pub values: Vec<u8>,
    /// `[rows][width / 128]`, rounded up: half precision, as bits.
    pub scales: Vec<u16>,
}

/// Rounds rows of numbers, each block with the scale that loses least.
///
/// # Panics
/// If the rows have an odd length, or are not whole.
pub fn round(numbers: &[f32], width: usize) -> Nibbles {
    assert!(width > 0 && width.is_multiple_of(2) && numbers.len().is_multiple_of(width));
    let mut rounded = Nibbles { values: Vec::with_capacity(numbers.len() / 2), scales: Vec::new() };
    for block in numbers.chunks_exact(width).flat_map(|row| row.chunks(BLOCK)) {
        let scale = best_scale(block);
        rounded.scales.push(scale.to_bits());
        let (low, high) = block.split_at(block.len() / 2);
        let value = |x: f32| (whole(x, scale.to_f32()) + ZERO) as u8;
        rounded.values.extend(low.iter().zip(high).map(|(low, high)| value(*low) | value(*high) << 4));
    }
    rounded
}

/// The whole number that stands for a number.
fn whole(x: f32, scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { (x / scale).round().clamp(-ZERO, ZERO - 1.0) }
}

/// The scale with the least squared error; it has the sign that gives the farthest number the value 0.
fn best_scale(block: &[f32]) -> f16 {
    let farthest = block.iter().fold(0f32, |far, x| if x.abs() > far.abs() { *x } else { far });
    let candidates = STEPS.step_by(2).map(|part| f16::from_f32(farthest * f32::from(part) / 100.0 / -ZERO));
    let error = |scale: f16| -> f32 {
        let scale = scale.to_f32();
        block.iter().map(|x| (x - whole(*x, scale) * scale).powi(2)).sum()
    };
    candidates.min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap_or(f16::ZERO)
}

/// Adds a row to `out`, or with `first` writes it there.
///
/// # Safety
/// The row has as many blocks as scales, and half as many bytes as `out` has numbers.
#[inline(always)]
pub(super) unsafe fn add(values: *const u8, scales: *const u16, width: usize, first: bool, out: *mut f32) {
    for (block, start) in (0..width).step_by(BLOCK).enumerate() {
        let half = (width - start).min(BLOCK) / 2;
        // SAFETY: the caller's promise.
        unsafe {
            let scale = f16::from_bits(*scales.add(block)).to_f32();
            let bytes = std::slice::from_raw_parts(values.add(start / 2), half);
            let low = std::slice::from_raw_parts_mut(out.add(start), half);
            let high = std::slice::from_raw_parts_mut(out.add(start + half), half);
            for ((byte, low), high) in bytes.iter().zip(low).zip(high) {
                let numbers = [byte & 15, byte >> 4].map(|value| (f32::from(value) - ZERO) * scale);
                *low = if first { numbers[0] } else { *low + numbers[0] };
                *high = if first { numbers[1] } else { *high + numbers[1] };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::embedding::{Rows, Values, add_row};
    use crate::isa::Isa;

    proptest! {
        #[test]
        fn a_row_is_near_what_it_was(
            (width, numbers) in (1usize..150).prop_flat_map(|half| {
                (Just(2 * half), prop::collection::vec(-1f32..1.0, 3 * 2 * half))
            }),
            row in 0usize..3,
        ) {
            let rounded = round(&numbers, width);
            let table = Rows { width, values: Values::Q4(&rounded.values, &rounded.scales) };
            prop_assert_eq!(table.count(), 3);
            let mut expected = vec![f32::NAN; width];
            add_row(Isa::Portable, &table, row, true, &mut expected);
            for (got, number) in expected.iter().zip(&numbers[row * width..]) {
                prop_assert!((got - number).abs() < 0.2, "{} {}", got, number);
            }
            add_row(Isa::Portable, &table, 0, false, &mut expected);
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                let mut out = vec![f32::NAN; width];
                add_row(isa, &table, row, true, &mut out);
                add_row(isa, &table, 0, false, &mut out);
                prop_assert_eq!(&out, &expected);
            }
        }
    }
}
