//! Statistics: means and percentiles, ranks and their correlation, intervals of proportions.

/// The quantile of the standard normal distribution that leaves 2.5 % above it.
const Z: f64 = 1.959_963_984_540_054;

/// The mean; 0 of nothing.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The value that `part` of the values lie below, between neighbours on the line that joins them; 0 of nothing.
pub(super) fn percentile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = part * sorted.len().saturating_sub(1) as f64;
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or(0.0);
    at(place.floor()) + (at(place.ceil()) - at(place.floor())) * place.fract()
}

/// The place of each value among all, from 1; equal ones share the mean of their places.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let shared = before as f64 + (equal.len() + 1) as f64 / 2.0;
        equal.iter().for_each(|index| ranks[*index] = shared);
        before += equal.len();
    }
    ranks
}

/// The correlation of two rows of numbers; none where one of them does not vary.
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut both, mut square_a, mut square_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        both += (a - mean_a) * (b - mean_b);
        square_a += (a - mean_a).powi(2);
        square_b += (b - mean_b).powi(2);
    }
    let spread = (square_a * square_b).sqrt();
    (spread > 0.0).then(|| (both / spread).clamp(-1.0, 1.0))
}

/// Spearman's rank correlation; none where one of the rows does not vary.
pub(super) fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    correlation(&ranks(a), &ranks(b))
}

/// On how many of the same examples two models are right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Paired {
    pub(super) both: usize,
    pub(super) first_only: usize,
    pub(super) second_only: usize,
    pub(super) neither: usize,
}

impl Paired {
    pub(super) fn of(pairs: impl Iterator<Item = (bool, bool)>) -> Self {
        let mut paired = Self::default();
        for pair in pairs {
            match pair {
                (true, true) => paired.both += 1,
                (true, false) => paired.first_only += 1,
                (false, true) => paired.second_only += 1,
                (false, false) => paired.neither += 1,
            }
        }
        paired
    }

    fn total(self) -> f64 {
        (self.both + self.first_only + self.second_only + self.neither) as f64
    }

    /// The part that the first is right on.
    pub(super) fn first(self) -> f64 {
        (self.both + self.first_only) as f64 / self.total().max(1.0)
    }

    /// The part that the second is right on.
    pub(super) fn second(self) -> f64 {
        (self.both + self.second_only) as f64 / self.total().max(1.0)
    }

    /// The 95 % confidence interval of the second's part less the first's.
    ///
    /// Method 10 of R. G. Newcombe, "Improved confidence intervals for the difference between binomial proportions based
    /// on paired data", Statistics in Medicine 17 (1998), 2635-2650: Wilson's intervals of both, joined with regard to how
    /// they depend on each other.
    pub(super) fn difference(self) -> (f64, f64) {
        let total = self.total();
        let (first, second) = (self.first(), self.second());
        let (low_first, high_first) = wilson(first, total);
        let (low_second, high_second) = wilson(second, total);
        let phi = self.phi();
        let reach = |a: f64, b: f64| (a * a - 2.0 * phi * a * b + b * b).max(0.0).sqrt();
        let difference = second - first;
        let below = reach(second - low_second, high_first - first);
        let above = reach(high_second - second, first - low_first);
        (difference - below, difference + above)
    }

    /// How both depend on each other, corrected for continuity.
    fn phi(self) -> f64 {
        let Self { both, first_only, second_only, neither } = self;
        let [a, b, c, d] = [both, first_only, second_only, neither].map(|count| count as f64);
        let product = (a + b) * (c + d) * (a + c) * (b + d);
        if product == 0.0 {
            return 0.0;
        }
        let excess = a * d - b * c;
        let corrected = if excess > 0.0 { (excess - self.total() / 2.0).max(0.0) } else { excess };
        corrected / product.sqrt()
    }
}

/// Wilson's 95 % confidence interval of a proportion.
fn wilson(part: f64, total: f64) -> (f64, f64) {
    if total == 0.0 {
        return (0.0, 1.0);
    }
    let square = Z * Z;
    let centre = part + square / (2.0 * total);
    let reach = Z * (part * (1.0 - part) / total + square / (4.0 * total * total)).sqrt();
    let scale = 1.0 + square / total;
    (((centre - reach) / scale).max(0.0), ((centre + reach) / scale).min(1.0))
}

#[cfg(test)]
mod tests;
