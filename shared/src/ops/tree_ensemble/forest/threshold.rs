//! The two float types that a row is compared in.

use tract_nnef::internal::*;

/// A float type that features, thresholds and weights can have.
pub trait Threshold:
    Datum + Copy + PartialOrd + Default + std::ops::AddAssign + std::ops::DivAssign + std::ops::Neg<Output = Self>
{
    /// The value for which no comparison holds.
    fn never() -> Self;
    /// Whether it is no number.
    fn is_missing(self) -> bool;
    /// `t` such that `x <= t` exactly where `x < self`.
    fn just_below(self) -> Self;
    /// The value as the operator's output has it.
    fn to_f32(self) -> f32;
    /// A value of the operator's attributes.
    fn from_f32(value: f32) -> Self;
    /// A count.
    fn from_count(count: usize) -> Self;
    /// The bits as words of 32 bits, the low one first.
    fn to_words(self) -> Vec<u32>;
    /// What [`Threshold::to_words`] gave, from the start of `words`.
    fn from_words(words: &[u32]) -> Option<Self>;
}

impl Threshold for f32 {
    fn never() -> f32 {
        f32::NAN
    }
    fn is_missing(self) -> bool {
        self.is_nan()
    }
    fn just_below(self) -> f32 {
        if self == f32::NEG_INFINITY { f32::NAN } else { self.next_down() }
    }
    fn to_f32(self) -> f32 {
        self
    }
    fn from_f32(value: f32) -> f32 {
        value
    }
    fn from_count(count: usize) -> f32 {
        count as f32
    }
    fn to_words(self) -> Vec<u32> {
        vec![self.to_bits()]
    }
    fn from_words(words: &[u32]) -> Option<f32> {
        words.first().map(|&bits| f32::from_bits(bits))
    }
}

impl Threshold for f64 {
    fn never() -> f64 {
        f64::NAN
    }
    fn is_missing(self) -> bool {
        self.is_nan()
    }
    fn just_below(self) -> f64 {
        if self == f64::NEG_INFINITY { f64::NAN } else { self.next_down() }
    }
    fn to_f32(self) -> f32 {
        self as f32
    }
    fn from_f32(value: f32) -> f64 {
        f64::from(value)
    }
    fn from_count(count: usize) -> f64 {
        count as f64
    }
    fn to_words(self) -> Vec<u32> {
        let bits = self.to_bits();
        vec![bits as u32, (bits >> 32) as u32]
    }
    fn from_words(words: &[u32]) -> Option<f64> {
        match words {
            [low, high, ..] => Some(f64::from_bits(u64::from(*low) | u64::from(*high) << 32)),
            _ => None,
        }
    }
}
