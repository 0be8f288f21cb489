//! Random numbers that are the same for the same seed, on every machine and in every version.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// The generator SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The numbers of a request's choice: those of choice 0 are the seed's own.
    pub(super) fn new(seed: u64, choice: usize) -> Self {
        let mut choices = Self(seed);
        let seed = (0..choice).fold(seed, |_, _| choices.next());
        Self(seed)
    }

    /// A seed that nobody knows.
    pub(super) fn any_seed() -> u64 {
        RandomState::new().build_hasher().finish()
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, and without, 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_never_change() {
        let mut random = Random::new(1_234_567, 0);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn choices_have_numbers_of_their_own() {
        let first = |choice| Random::new(7, choice).next();
        assert_ne!(first(0), first(1));
        assert_ne!(first(1), first(2));
    }
}
