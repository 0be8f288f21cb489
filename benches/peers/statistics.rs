//! What a list of measurements says: its median, its spread, and how two lists compare.

use serde_json::{Value, json};

/// Measurements in ascending order, never empty.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    sorted: Vec<f64>,
}

impl Sample {
    /// The sample of these values; `None` where there are none.
    pub(crate) fn new(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Self { sorted: values })
    }

    /// How many times a value of `numerators` is the value of `denominators` measured next to it.
    pub(crate) fn ratios(numerators: &[f64], denominators: &[f64]) -> Option<Self> {
        Self::new(numerators.iter().zip(denominators).map(|(numerator, denominator)| numerator / denominator).collect())
    }

    /// The value below which this part of the sample lies, from 0 to 1, between two neighbours if need be.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let position = part.clamp(0.0, 1.0) * (self.sorted.len() - 1) as f64;
        let below = position.floor() as usize;
        let above = (below + 1).min(self.sorted.len() - 1);
        let weight = position - below as f64;
        self.sorted[below] * (1.0 - weight) + self.sorted[above] * weight
    }

    /// The middle value.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The quartiles, between which the middle half lies.
    pub(crate) fn middle_half(&self) -> (f64, f64) {
        (self.quantile(0.25), self.quantile(0.75))
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "median": self.median(),
            "quartiles": [self.quantile(0.25), self.quantile(0.75)],
            "minimum": self.quantile(0.0),
            "maximum": self.quantile(1.0),
            "count": self.sorted.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let sample = Sample::new(vec![4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((sample.median(), sample.middle_half()), (2.5, (1.75, 3.25)));
        assert_eq!((sample.quantile(0.0), sample.quantile(1.0)), (1.0, 4.0));
    }

    #[test]
    fn a_sample_of_one_has_no_spread() {
        let sample = Sample::new(vec![7.0]).unwrap();
        assert_eq!((sample.median(), sample.middle_half()), (7.0, (7.0, 7.0)));
    }

    #[test]
    fn nothing_is_no_sample() {
        assert!(Sample::new(Vec::new()).is_none());
    }

    #[test]
    fn ratios_are_of_neighbours_in_time() {
        let ratios = Sample::ratios(&[10.0, 30.0], &[1.0, 2.0]).unwrap();
        assert_eq!((ratios.quantile(0.0), ratios.quantile(1.0)), (10.0, 15.0));
    }
}
