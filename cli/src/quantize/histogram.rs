//! How often numbers of any size were seen.

use super::observe::Notes;

/// How many bins there are; half of them for numbers below zero.
const BINS: usize = 16_384;
/// How many levels a byte tells apart.
const LEVELS: usize = 256;
/// In how many steps the range with the least divergence is looked for.
const RANGES: usize = 128;

/// Counts of numbers in bins of equal width, from `-reach` to `reach`.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    /// A power of two, or zero as long as nothing but zeros was seen.
    reach: f32,
    least: f32,
    greatest: f32,
}

impl Notes for Histogram {
    fn new(_: usize) -> Self {
        Self { counts: vec![0; BINS], reach: 0.0, least: 0.0, greatest: 0.0 }
    }

    /// Counts numbers; those that are not finite are none.
    fn add(&mut self, rows: &[f32]) {
        let finite = || rows.iter().copied().filter(|x| x.is_finite());
        let (least, greatest) = finite().fold((0f32, 0f32), |(least, greatest), x| (least.min(x), greatest.max(x)));
        self.least = self.least.min(least);
        self.greatest = self.greatest.max(greatest);
        self.widen(greatest.max(-least));
        let scale = if self.reach > 0.0 { (BINS / 2) as f32 / self.reach } else { 0.0 };
        for x in finite() {
            let bin = (x * scale) as i64 + (BINS / 2) as i64 - i64::from(x < 0.0);
            self.counts[bin.clamp(0, BINS as i64 - 1) as usize] += 1;
        }
    }
}

impl Histogram {
    /// The least number, or zero if that is less.
    pub(super) fn least(&self) -> f32 {
        self.least
    }

    /// The greatest number, or zero if that is greater.
    pub(super) fn greatest(&self) -> f32 {
        self.greatest
    }

    /// Makes the bins reach that far. They are wide enough then, so that two of them become one.
    fn widen(&mut self, reach: f32) {
        let needed = reach.max(f32::MIN_POSITIVE).log2().ceil().exp2();
        if reach == 0.0 || needed <= self.reach {
            return;
        }
        while self.reach > 0.0 && self.reach < needed {
            let mut counts = vec![0; BINS];
            let middle = BINS / 2;
            for (bin, count) in self.counts.iter().enumerate() {
                let from_middle = if bin < middle { (middle - 1 - bin) / 2 } else { (bin - middle) / 2 };
                counts[if bin < middle { middle - 1 - from_middle } else { middle + from_middle }] += count;
            }
            self.counts = counts;
            self.reach *= 2.0;
        }
        // Zeros that came before any other number are in the bin above zero, whatever its width.
        self.reach = needed;
    }

    /// The number below which this part of all lies, to a bin's width.
    pub(super) fn quantile(&self, part: f64) -> f32 {
        let all: u64 = self.counts.iter().sum();
        let wanted = part * all as f64;
        let mut below = 0.0;
        for (bin, count) in self.counts.iter().enumerate() {
            let count = *count as f64;
            if count > 0.0 && below + count >= wanted {
                let within = ((wanted - below) / count).clamp(0.0, 1.0);
                return (self.edge(bin) + within as f32 * self.width()).clamp(self.least, self.greatest);
            }
            below += count;
        }
        self.greatest
    }

    /// The range, as far below zero as above but within the numbers seen, whose levels tell most of what the numbers are
    /// like: as TensorRT and onnxruntime choose it.
    pub(super) fn least_divergent(&self) -> (f32, f32) {
        let middle = BINS / 2;
        let farthest = (0..middle).rev().find(|i| self.counts[middle + i] + self.counts[middle - 1 - i] > 0);
        let farthest = farthest.map_or(1, |bin| bin + 1);
        let step = farthest.div_ceil(RANGES);
        let halves = (1..=RANGES).map(|index| index * step).take_while(|half| *half < farthest + step);
        let halves = halves.filter(|half| *half >= (LEVELS / 2).min(farthest)).map(|half| half.min(middle));
        let best = halves.map(|half| (self.divergence(half), half)).min_by(|(a, _), (b, _)| a.total_cmp(b));
        let reach = best.map_or(middle, |(_, half)| half) as f32 * self.width();
        (self.least.max(-reach), self.greatest.min(reach))
    }

    /// How far what [`LEVELS`] levels over so many bins on either side of zero say is from what was seen.
    fn divergence(&self, half: usize) -> f64 {
        let middle = BINS / 2;
        let (start, end) = (middle - half, middle + half);
        let within: Vec<f64> = self.counts[start..end].iter().map(|count| *count as f64).collect();
        let mut seen = within.clone();
        let beyond = |counts: &[u64]| counts.iter().sum::<u64>() as f64;
        seen[0] += beyond(&self.counts[..start]);
        seen[2 * half - 1] += beyond(&self.counts[end..]);
        let levels = LEVELS.min(2 * half);
        let mut said = vec![0.0; 2 * half];
        for level in 0..levels {
            let bins = 2 * half * level / levels..2 * half * (level + 1) / levels;
            let filled = bins.clone().filter(|bin| seen[*bin] > 0.0).count();
            let each = within[bins.clone()].iter().sum::<f64>() / filled.max(1) as f64;
            bins.filter(|bin| seen[*bin] > 0.0).for_each(|bin| said[bin] = each);
        }
        let (all_seen, all_said): (f64, f64) = (seen.iter().sum(), said.iter().sum());
        // What was seen and is said to be impossible costs much, but not all.
        let impossible = 1e-4 / (2 * half) as f64;
        let pairs = seen.iter().zip(&said).filter(|(seen, _)| **seen > 0.0);
        let term = |(seen, said): (&f64, &f64)| {
            let (seen, said) = (seen / all_seen, (said / all_said.max(1.0)).max(impossible));
            seen * (seen / said).ln()
        };
        pairs.map(term).sum()
    }

    fn width(&self) -> f32 {
        2.0 * self.reach / BINS as f32
    }

    fn edge(&self, bin: usize) -> f32 {
        (bin as f32 - (BINS / 2) as f32) * self.width()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[f32]) -> Histogram {
        let mut histogram = Histogram::new(1);
        numbers.chunks(7).for_each(|part| histogram.add(part));
        histogram
    }

    /// `numpy.quantile(…, method="inverted_cdf")` of numpy 2.4.6 for `sin(arange(1000) ** 1.5) ** 3 * 5 + 1`.
    const QUANTILES: [(f64, f32); 4] = [(0.001, -3.99984), (0.25, -0.82481), (0.5, 1.00028), (0.999, 5.99828)];

    #[test]
    fn quantiles_are_those_of_numpy_to_the_width_of_a_bin() {
        let numbers: Vec<f32> = (0..1000).map(|i| (f64::from(i).powf(1.5).sin().powi(3) * 5.0 + 1.0) as f32).collect();
        let histogram = of(&numbers);
        for (part, expected) in QUANTILES {
            let got = histogram.quantile(part);
            assert!((got - expected).abs() < 0.002, "{part}: {got} {expected}");
        }
        assert_eq!(histogram.counts.iter().sum::<u64>(), 1000);
    }

    #[test]
    fn numbers_of_any_size_are_counted_with_those_before() {
        let histogram = of(&[0.0, 0.0, 1e-20, -1e-3, 0.25, -7.0, 1e9, f32::NAN, f32::INFINITY]);
        assert_eq!(histogram.counts.iter().sum::<u64>(), 7);
        assert_eq!((histogram.least(), histogram.greatest()), (-7.0, 1e9));
        assert_eq!(histogram.counts.iter().filter(|count| **count > 0).count(), 3);
    }
}
