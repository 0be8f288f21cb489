//! How patiently a store is read: what is tried again, how soon, and when it is given up.

use std::time::Duration;

use crate::model::PartSize;

/// How patiently, and in which pieces, a store is read. All times follow from one, [`Patience::silence`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a request may bring nothing before it is given up and made again: by default 3 seconds.
    pub silence: Duration,
    /// The size of the parts a package is read in; by default from 4 to 16 MiB, by its size.
    pub part: Option<PartSize>,
    /// The memory that a package has to fit into; by default what the machine has.
    pub memory_bytes: Option<u64>,
}

impl Default for Patience {
    fn default() -> Self {
        Self { silence: Duration::from_secs(3), part: None, memory_bytes: None }
    }
}

impl Patience {
    /// Parts that are read at once: enough to fill the network of a function, few enough for its memory.
    pub(super) const PARTS_AT_ONCE: usize = 8;
    /// Second requests for slow parts at once: what they bring is kept beside the package.
    pub(super) const HEDGES_AT_ONCE: usize = 2;
    /// How often a request is made before its fault is the store's.
    pub(super) const ATTEMPTS: u32 = 4;
    /// How often a package is begun anew because it was replaced while it was read.
    pub(super) const RESTARTS: u32 = 3;
    /// How many times the usual time a part takes before a second request is made for it.
    const SLOW: f64 = 3.0;
    /// Parts that must have come before it is known what is usual.
    const USUAL_PARTS: usize = 3;
    /// The slowest that a store may be on the whole.
    const BYTES_PER_SECOND: u64 = 1 << 20;
    const SMALLEST_PART: PartSize = PartSize::mebibytes(4);
    const LARGEST_PART: PartSize = PartSize::mebibytes(16);
    /// Parts that a package of middling size has.
    const PARTS: u64 = 32;

    /// The pause after so many failed attempts, `None` where there were enough: any length up to a bound that doubles,
    /// as `random` from 0 to 1 says, so that those who failed together do not come back together.
    pub(super) fn pause(&self, failed: u32, random: f64) -> Option<Duration> {
        if failed >= Self::ATTEMPTS {
            return None;
        }
        let bound = self.silence / 30 * 2u32.pow(failed.saturating_sub(1));
        Some(bound.mul_f64(random.clamp(0.0, 1.0)))
    }

    /// How long a request may bring nothing before a second one is made beside it.
    pub(super) fn hedge_after_silence(&self) -> Duration {
        self.silence / 3
    }

    /// How long a part of `bytes` may take before a second request is made for the rest of it: a multiple of what is
    /// usual by the `paces` of finished ones, in seconds per byte.
    pub(super) fn hedge_after(&self, bytes: u64, paces: &[f64]) -> Option<Duration> {
        if paces.len() < Self::USUAL_PARTS {
            return None;
        }
        let mut paces = paces.to_vec();
        paces.sort_by(f64::total_cmp);
        let usual = paces[paces.len() / 2];
        let slow = Duration::try_from_secs_f64(usual * bytes as f64 * Self::SLOW).ok()?;
        Some(slow.max(self.silence / 15))
    }

    /// How long all of a read may take, whatever it has to try again: of a package of `bytes`, once that is known.
    pub(super) fn whole(&self, bytes: u64) -> Duration {
        self.silence * 8 + Duration::from_secs(bytes / Self::BYTES_PER_SECOND)
    }

    /// The sizes of the first part and of the largest ones.
    pub(super) fn parts(&self, total: u64) -> (PartSize, PartSize) {
        let own = |by_default| self.part.unwrap_or(by_default);
        (self.first_part(), own(Self::SMALLEST_PART.fit(total / Self::PARTS, Self::LARGEST_PART)))
    }

    /// The size of the first part, which is asked for before the package's size is known.
    pub(super) fn first_part(&self) -> PartSize {
        self.part.unwrap_or(Self::SMALLEST_PART)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn parts_grow_with_the_package() {
        let sizes = |mebibytes| {
            let (first, largest) = Patience::default().parts(mebibytes * MIB);
            (first.bytes() / MIB, largest.bytes() / MIB)
        };
        assert_eq!(
            [sizes(1), sizes(100), sizes(200), sizes(500), sizes(9000)],
            [(4, 4), (4, 4), (4, 8), (4, 16), (4, 16)]
        );
    }

    #[test]
    fn a_part_is_slow_by_what_its_siblings_took() {
        let patience = Patience::default();
        assert_eq!(patience.hedge_after(1000, &[0.001, 0.001]), None, "two tell nothing");
        assert_eq!(patience.hedge_after(1000, &[0.001, 0.009, 0.002]), Some(Duration::from_secs(6)));
        assert_eq!(patience.hedge_after(1, &[1e-9, 1e-9, 1e-9]), Some(Duration::from_millis(200)), "never at once");
        assert_eq!(patience.hedge_after(u64::MAX, &[f64::INFINITY; 3]), None);
    }

    #[test]
    fn a_larger_package_may_take_longer() {
        let patience = Patience::default();
        assert_eq!(patience.whole(0), Duration::from_secs(24));
        assert_eq!(patience.whole(1024 * MIB), Duration::from_secs(24 + 1024));
    }

    proptest! {
        #[test]
        fn pauses_double_within_their_bound_and_end(random in 0.0f64..=1.0) {
            let patience = Patience::default();
            for failed in 1..Patience::ATTEMPTS {
                let bound = Duration::from_millis(100) * 2u32.pow(failed - 1);
                prop_assert!(patience.pause(failed, random).unwrap() <= bound);
                prop_assert_eq!(patience.pause(failed, 1.0).unwrap(), bound);
            }
            prop_assert_eq!(patience.pause(Patience::ATTEMPTS, random), None);
        }
    }
}
