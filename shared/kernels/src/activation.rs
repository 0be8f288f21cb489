//! Activation functions, alone and as gates.

use crate::Isa;
use crate::lanes::{Lanes, tiers};
use crate::math::{gelu, gelu_tanh, sigmoid, tanh};
use crate::threads::{self, Shared};

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x / 2 * (1 + erf(x / sqrt(2)))`
    Gelu,
    /// The approximation of [`Activation::Gelu`] by the hyperbolic tangent.
    GeluTanh,
    /// `x * sigmoid(1.702 * x)`
    QuickGelu,
    /// `max(x, 0)`
    Relu,
    /// `x * sigmoid(x)`
    Silu,
    /// The hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
}

/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn apply<L: Lanes>(activation: Activation, x: L::V) -> L::V {
    // SAFETY: the caller's promise.
    unsafe {
        match activation {
            Activation::Gelu => gelu::<L>(x),
            Activation::GeluTanh => gelu_tanh::<L>(x),
            Activation::QuickGelu => L::mul(x, sigmoid::<L>(L::mul(L::splat(1.702), x))),
            Activation::Relu => L::max(L::splat(0.0), x),
            Activation::Silu => L::mul(x, sigmoid::<L>(x)),
            Activation::Tanh => tanh::<L>(x),
            Activation::Sigmoid => sigmoid::<L>(x),
        }
    }
}

/// How many elements a thread takes at once.
const CHUNK: usize = 16 * 1024;

/// Applies an activation to every element.
pub fn activate(isa: Isa, activation: Activation, values: &mut [f32]) {
    let length = values.len();
    let values = Shared::new(values);
    threads::split(length.div_ceil(CHUNK), |chunk| {
        let start = chunk * CHUNK;
        let count = CHUNK.min(length - start);
        // SAFETY: chunks do not overlap and end at the slice's end; the instruction set is available.
        unsafe { activate_chunk(isa, activation, values.at(start), count) }
    });
}

tiers! {
    unsafe fn activate_chunk(activation: Activation, values: *mut f32, count: usize) = activate_lanes;
}

#[inline(always)]
unsafe fn activate_lanes<L: Lanes>(activation: Activation, values: *mut f32, count: usize) {
    for i in (0..count).step_by(L::WIDTH) {
        let rest = count - i;
        // SAFETY: the caller owns `count` elements.
        unsafe {
            if rest >= L::WIDTH {
                L::store(values.add(i), apply::<L>(activation, L::load(values.add(i))));
            } else {
                L::store_part(values.add(i), apply::<L>(activation, L::load_part(values.add(i), rest)), rest);
            }
        }
    }
}

/// `out[r] = activation(x[r][..width]) * x[r][width..]` for rows of twice `width`.
///
/// # Panics
/// If `x` is not twice as long as `out`, or `out` no multiple of `width`.
pub fn gate(isa: Isa, activation: Activation, x: &[f32], width: usize, out: &mut [f32]) {
    assert!(width > 0 && out.len().is_multiple_of(width) && x.len() == 2 * out.len(), "a gate halves its rows");
    let rows = out.len() / width;
    let out = Shared::new(out);
    let per_chunk = (CHUNK / width).max(1);
    threads::split(rows.div_ceil(per_chunk), |chunk| {
        for row in chunk * per_chunk..rows.min((chunk + 1) * per_chunk) {
            // SAFETY: `x` has `2 * width` elements for each of `out`'s rows; no two chunks share a row.
            unsafe { gate_row(isa, activation, x.as_ptr().add(2 * row * width), width, out.at(row * width)) }
        }
    });
}

tiers! {
    unsafe fn gate_row(activation: Activation, x: *const f32, width: usize, out: *mut f32) = gate_lanes;
}

#[inline(always)]
unsafe fn gate_lanes<L: Lanes>(activation: Activation, x: *const f32, width: usize, out: *mut f32) {
    for i in (0..width).step_by(L::WIDTH) {
        let rest = width - i;
        // SAFETY: the caller promises `2 * width` elements of `x` and `width` of `out`.
        unsafe {
            let (left, right) = (x.add(i), x.add(width + i));
            if rest >= L::WIDTH {
                L::store(out.add(i), L::mul(apply::<L>(activation, L::load(left)), L::load(right)));
            } else {
                let product = L::mul(apply::<L>(activation, L::load_part(left, rest)), L::load_part(right, rest));
                L::store_part(out.add(i), product, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The error function by its series, in double precision.
    fn erf(x: f64) -> f64 {
        if x.abs() > 5.0 {
            return x.signum();
        }
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    fn reference(activation: Activation, x: f32) -> f64 {
        let x = f64::from(x);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        match activation {
            Activation::Gelu => x / 2.0 * (1.0 + erf(x / std::f64::consts::SQRT_2)),
            Activation::GeluTanh => {
                x / 2.0 * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
            }
            Activation::QuickGelu => x * sigmoid(1.702 * x),
            Activation::Relu => x.max(0.0),
            Activation::Silu => x * sigmoid(x),
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => sigmoid(x),
        }
    }

    const ALL: [Activation; 7] = [
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::QuickGelu,
        Activation::Relu,
        Activation::Silu,
        Activation::Tanh,
        Activation::Sigmoid,
    ];

    proptest! {
        #[test]
        fn activations_are_those_of_double_precision(values in prop::collection::vec(-30f32..30.0, 0..70)) {
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                for activation in ALL {
                    let mut got = values.clone();
                    activate(isa, activation, &mut got);
                    for (x, got) in values.iter().zip(&got) {
                        let expected = reference(activation, *x);
                        let difference = (f64::from(*got) - expected).abs();
                        prop_assert!(difference < 2e-6 * expected.abs().max(1.0), "{isa} {activation:?} {x}: {got} {expected}");
                    }
                }
            }
        }

        #[test]
        fn a_gate_multiplies_the_halves(width in 1usize..40, rows in 0usize..4, seed in 0u32..1000) {
            let x: Vec<f32> = (0..2 * width * rows).map(|i| ((i as u32 * 7919 + seed) % 200) as f32 / 50.0 - 2.0).collect();
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                let mut out = vec![0.0; width * rows];
                gate(isa, Activation::Silu, &x, width, &mut out);
                for (i, got) in out.iter().enumerate() {
                    let (row, column) = (i / width, i % width);
                    let expected = reference(Activation::Silu, x[2 * row * width + column])
                        * f64::from(x[(2 * row + 1) * width + column]);
                    prop_assert!((f64::from(*got) - expected).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            for activation in ALL {
                let mut values = vec![f32::NAN; 17];
                activate(isa, activation, &mut values);
                assert!(values.iter().all(|value| value.is_nan()), "{isa} {activation:?}");
            }
        }
    }
}
