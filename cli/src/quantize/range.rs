//! How far the inputs of a layer reach that are quantized over a fixed range.

use std::fmt;
use std::str::FromStr;

use emberlite::ops::Range;
use serde::{Deserialize, Serialize};

use super::histogram::Histogram;

/// The part of the numbers, in percent, that lies within a range where nothing else is said.
const PERCENTILE: f64 = 99.99;

/// How the range of a layer's inputs is found: `min-max`, `percentile`, `percentile=99.9` or `entropy`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RangeMethod {
    /// From the least to the greatest number.
    MinMax,
    /// So that this part of the numbers, in percent, lies within it, and as many are left out at either end.
    Percentile(f64),
    /// So that the numbers' distribution diverges least (Kullback and Leibler's) from what quantizing leaves of it.
    Entropy,
}

impl RangeMethod {
    /// The range of numbers that were seen; where all of them were zero, from -1 to 1.
    pub(super) fn range(self, seen: &Histogram) -> Result<Range, String> {
        let (low, high) = match self {
            Self::MinMax => (seen.least(), seen.greatest()),
            Self::Percentile(part) => {
                let out = (1.0 - part / 100.0) / 2.0;
                (seen.quantile(out), seen.quantile(1.0 - out))
            }
            Self::Entropy => seen.least_divergent(),
        };
        Range::new(low.min(0.0), high.max(0.0)).or_else(|_| Range::new(-1.0, 1.0))
    }
}

impl Default for RangeMethod {
    fn default() -> Self {
        Self::Percentile(PERCENTILE)
    }
}

impl FromStr for RangeMethod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected min-max, entropy, percentile or percentile=99.9, got {text:?}");
        match text.split_once('=') {
            None if text == "min-max" => Ok(Self::MinMax),
            None if text == "entropy" => Ok(Self::Entropy),
            None if text == "percentile" => Ok(Self::Percentile(PERCENTILE)),
            Some(("percentile", part)) => {
                let part: f64 = part.trim_end_matches('%').trim().parse().map_err(|_| expected())?;
                if part > 50.0 && part <= 100.0 {
                    return Ok(Self::Percentile(part));
                }
                Err(format!("a percentile is above 50 and at most 100, got {part}"))
            }
            _ => Err(expected()),
        }
    }
}

impl TryFrom<String> for RangeMethod {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RangeMethod> for String {
    fn from(method: RangeMethod) -> Self {
        method.to_string()
    }
}

impl fmt::Display for RangeMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinMax => write!(f, "min-max"),
            Self::Percentile(part) => write!(f, "percentile={part}"),
            Self::Entropy => write!(f, "entropy"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::observe::Notes;
    use super::*;

    #[test]
    fn a_method_is_read_as_it_is_written() {
        for text in ["min-max", "entropy", "percentile=99.9"] {
            assert_eq!(text.parse::<RangeMethod>().unwrap().to_string(), text);
        }
        assert_eq!("percentile".parse::<RangeMethod>().unwrap(), RangeMethod::default());
        for text in ["", "max", "percentile=101", "percentile=x", "entropy=1"] {
            assert!(text.parse::<RangeMethod>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_far_number_is_left_out_by_all_but_min_max() {
        let mut random = fastrand::Rng::with_seed(4);
        let normal = |_| (0..12).map(|_| random.f32() - 0.5).sum::<f32>();
        let mut numbers: Vec<f32> = (0..100_000).map(normal).collect();
        numbers.push(90.0);
        let mut seen = Histogram::new(1);
        numbers.chunks(1000).for_each(|part| seen.add(part));
        let range = |method: RangeMethod| method.range(&seen).unwrap();
        assert_eq!(range(RangeMethod::MinMax).high(), 90.0);
        for method in [RangeMethod::Percentile(99.9), RangeMethod::Entropy] {
            let range = range(method);
            assert!((2.0..8.0).contains(&range.high()) && (2.0..8.0).contains(&-range.low()), "{method}: {range:?}");
        }
        let nothing = Histogram::new(1);
        assert_eq!(RangeMethod::MinMax.range(&nothing), Range::new(-1.0, 1.0));
    }
}
