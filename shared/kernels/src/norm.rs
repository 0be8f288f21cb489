//! Layer norm and RMS norm over rows, with a residual added first.

use crate::Isa;
use crate::lanes::{Lanes, tiers};
use crate::threads::{self, Shared};

/// Which norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormKind {
    /// `(x - mean) / sqrt(variance + epsilon)`
    Layer,
    /// `x / sqrt(mean of squares + epsilon)`
    Rms,
}

/// A norm over rows of `gain.len()` numbers.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// Which norm.
    pub kind: NormKind,
    /// Multiplies each column.
    pub gain: &'a [f32],
    /// Added to each column last.
    pub bias: Option<&'a [f32]>,
    /// Keeps the square root away from zero.
    pub epsilon: f32,
}

/// How many elements a thread takes at once.
const CHUNK: usize = 32 * 1024;

impl Norm<'_> {
    /// `out = norm(x + residual)`, row by row.
    ///
    /// # Panics
    /// If a length is not a multiple of the width, or not that of `x`.
    pub fn run(&self, isa: Isa, x: &[f32], residual: Option<&[f32]>, out: &mut [f32]) {
        let width = self.gain.len();
        assert!(width > 0 && x.len().is_multiple_of(width) && x.len() == out.len(), "rows of {width}");
        assert!(residual.is_none_or(|residual| residual.len() == x.len()), "the residual is as long as the input");
        assert!(self.bias.is_none_or(|bias| bias.len() == width), "the bias is as wide as the gain");
        let rows = x.len() / width;
        let out = Shared::new(out);
        let per_chunk = (CHUNK / width).max(1);
        threads::split(rows.div_ceil(per_chunk), |chunk| {
            for row in chunk * per_chunk..rows.min((chunk + 1) * per_chunk) {
                let start = row * width;
                let residual = residual.map_or(std::ptr::null(), |residual| residual[start..].as_ptr());
                // SAFETY: the lengths were checked, and no two chunks share a row.
                unsafe { norm_row(isa, self, x[start..].as_ptr(), residual, out.at(start)) }
            }
        });
    }
}

tiers! {
    unsafe fn norm_row(norm: &Norm<'_>, x: *const f32, residual: *const f32, out: *mut f32) = norm_lanes;
}

#[inline(always)]
unsafe fn norm_lanes<L: Lanes>(norm: &Norm<'_>, x: *const f32, residual: *const f32, out: *mut f32) {
    let width = norm.gain.len();
    let whole = width - width % L::WIDTH;
    let rest = width - whole;
    // SAFETY: `x`, `out` and, unless null, `residual` have `width` elements, as gain and bias have.
    unsafe {
        let mut total = L::splat(0.0);
        for i in (0..whole).step_by(L::WIDTH) {
            let mut v = L::load(x.add(i));
            if !residual.is_null() {
                v = L::add(v, L::load(residual.add(i)));
            }
            L::store(out.add(i), v);
            total = L::add(total, v);
        }
        if rest > 0 {
            let mut v = L::load_part(x.add(whole), rest);
            if !residual.is_null() {
                v = L::add(v, L::load_part(residual.add(whole), rest));
            }
            L::store_part(out.add(whole), v, rest);
            total = L::add(total, v);
        }
        let mean = match norm.kind {
            NormKind::Layer => L::sum(total) / width as f32,
            NormKind::Rms => 0.0,
        };
        let centre = L::splat(mean);
        let mut squares = L::splat(0.0);
        for i in (0..whole).step_by(L::WIDTH) {
            let v = L::sub(L::load(out.add(i)), centre);
            squares = L::mul_add(v, v, squares);
        }
        let mut square = L::sum(squares);
        for i in whole..width {
            square += (*out.add(i) - mean) * (*out.add(i) - mean);
        }
        let factor = 1.0 / (square / width as f32 + norm.epsilon).sqrt();
        let (gain, bias) = (norm.gain.as_ptr(), norm.bias.map_or(std::ptr::null(), <[f32]>::as_ptr));
        let scale = L::splat(factor);
        for i in (0..whole).step_by(L::WIDTH) {
            let v = L::mul(L::sub(L::load(out.add(i)), centre), scale);
            let v = if bias.is_null() {
                L::mul(v, L::load(gain.add(i)))
            } else {
                L::mul_add(v, L::load(gain.add(i)), L::load(bias.add(i)))
            };
            L::store(out.add(i), v);
        }
        for i in whole..width {
            let bias = if bias.is_null() { 0.0 } else { *bias.add(i) };
            *out.add(i) = (*out.add(i) - mean) * factor * *gain.add(i) + bias;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reference(norm: &Norm<'_>, row: &[f32]) -> Vec<f64> {
        let width = row.len() as f64;
        let wide: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
        let mean = if norm.kind == NormKind::Layer { wide.iter().sum::<f64>() / width } else { 0.0 };
        let square = wide.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width;
        let factor = 1.0 / (square + f64::from(norm.epsilon)).sqrt();
        let bias = |i| norm.bias.map_or(0.0, |bias: &[f32]| f64::from(bias[i]));
        wide.iter().enumerate().map(|(i, x)| (x - mean) * factor * f64::from(norm.gain[i]) + bias(i)).collect()
    }

    proptest! {
        #[test]
        fn norms_are_those_of_double_precision(
            (width, rows, values) in (1usize..70, 0usize..4).prop_flat_map(|(width, rows)| {
                (Just(width), Just(rows), prop::collection::vec(-4f32..4.0, width * (2 * rows + 2)))
            }),
            layer: bool,
            biased: bool,
            added: bool,
        ) {
            let (terms, values) = values.split_at(2 * width);
            let (x, residual) = values.split_at(rows * width);
            let norm = Norm {
                kind: if layer { NormKind::Layer } else { NormKind::Rms },
                gain: &terms[..width],
                bias: biased.then_some(&terms[width..]),
                epsilon: 1e-3,
            };
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                let mut out = vec![0.0; x.len()];
                norm.run(isa, x, added.then_some(residual), &mut out);
                for row in 0..rows {
                    let at = row * width..(row + 1) * width;
                    let sum: Vec<f32> =
                        x[at.clone()].iter().zip(&residual[at.clone()]).map(|(x, r)| if added { x + r } else { *x }).collect();
                    for (got, expected) in out[at].iter().zip(reference(&norm, &sum)) {
                        prop_assert!((f64::from(*got) - expected).abs() < 2e-4, "{isa} {got} {expected}");
                    }
                }
            }
        }
    }
}
