//! Elementary functions over vectors, to about 2e-7 of the result or absolutely, whichever is greater.

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

use crate::lanes::Lanes;

/// e to the power of `x`; below -87.3 and above 88 the value at that bound. NaN stays NaN.
///
/// Cephes' polynomial after splitting off the power of two.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn exp<L: Lanes>(x: L::V) -> L::V {
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const COEFFICIENTS: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    // SAFETY: the caller's promise.
    unsafe {
        let x = L::min(L::splat(88.0), L::max(L::splat(-87.3), x));
        let n = L::round(L::mul(x, L::splat(LOG2_E)));
        let rest = L::mul_add(n, L::splat(-LN_2_HIGH), x);
        let rest = L::mul_add(n, L::splat(-LN_2_LOW), rest);
        let p = polynomial::<L>(&COEFFICIENTS, rest);
        let p = L::add(L::mul_add(L::mul(rest, rest), p, rest), L::splat(1.0));
        L::mul(p, L::power_of_two(n))
    }
}

/// The logistic function.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn sigmoid<L: Lanes>(x: L::V) -> L::V {
    // SAFETY: the caller's promise.
    unsafe {
        let one = L::splat(1.0);
        L::div(one, L::add(one, exp::<L>(L::sub(L::splat(0.0), x))))
    }
}

/// The hyperbolic tangent.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn tanh<L: Lanes>(x: L::V) -> L::V {
    // SAFETY: the caller's promise.
    unsafe { L::sub(L::mul(L::splat(2.0), sigmoid::<L>(L::mul(L::splat(2.0), x))), L::splat(1.0)) }
}

/// `x / 2 * (1 + erf(x / sqrt(2)))`, the error function being a quotient of polynomials: odd over even.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn gelu<L: Lanes>(x: L::V) -> L::V {
    const ODD: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const EVEN: [f32; 5] = [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2];
    // SAFETY: the caller's promise.
    unsafe {
        let bound = L::splat(4.0);
        let scaled = L::mul(x, L::splat(FRAC_1_SQRT_2));
        let z = L::min(bound, L::max(L::splat(-4.0), scaled));
        let square = L::mul(z, z);
        let odd = polynomial::<L>(&ODD, square);
        let even = polynomial::<L>(&EVEN, square);
        let erf = L::div(L::mul(z, odd), even);
        let half = L::mul(x, L::splat(0.5));
        L::mul_add(half, erf, half)
    }
}

/// A polynomial, its highest coefficient first.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn polynomial<L: Lanes>(coefficients: &[f32], x: L::V) -> L::V {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sum = L::splat(coefficients[0]);
        for coefficient in &coefficients[1..] {
            sum = L::mul_add(sum, x, L::splat(*coefficient));
        }
        sum
    }
}

/// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn gelu_tanh<L: Lanes>(x: L::V) -> L::V {
    const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769;
    // SAFETY: the caller's promise.
    unsafe {
        let cube = L::mul(L::mul(x, x), L::mul(x, L::splat(0.044_715)));
        L::mul(x, sigmoid::<L>(L::mul(L::splat(TWICE_SQRT_2_OVER_PI), L::add(x, cube))))
    }
}
