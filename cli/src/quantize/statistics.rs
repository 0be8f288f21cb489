//! How great each input of a layer is, and some rows of them.

use super::observe::Notes;

/// How many rows are kept at least, where there are as many.
const ROWS: usize = 256;

/// What was seen of a layer's inputs.
#[derive(Clone, Debug)]
pub(super) struct Statistics {
    greatest: Vec<f32>,
    sums: Vec<f64>,
    rows: usize,
    /// Every so many rows one is kept.
    stride: usize,
    samples: Vec<f32>,
}

impl Notes for Statistics {
    fn new(inputs: usize) -> Self {
        Self { greatest: vec![0.0; inputs], sums: vec![0.0; inputs], rows: 0, stride: 1, samples: Vec::new() }
    }

    fn add(&mut self, rows: &[f32]) {
        let width = self.width().max(1);
        for row in rows.chunks_exact(width) {
            for ((greatest, sum), x) in self.greatest.iter_mut().zip(&mut self.sums).zip(row) {
                *greatest = greatest.max(x.abs());
                *sum += f64::from(x.abs());
            }
            if self.rows.is_multiple_of(self.stride) {
                self.samples.extend_from_slice(row);
            }
            self.rows += 1;
            if self.samples.len() >= 2 * ROWS * width {
                let kept = self.samples.chunks_exact(width).step_by(2).flatten().copied().collect();
                self.samples = kept;
                self.stride *= 2;
            }
        }
    }
}

impl Statistics {
    /// How many inputs there are.
    pub(super) fn width(&self) -> usize {
        self.greatest.len()
    }

    /// The greatest size of each input.
    pub(super) fn greatest(&self) -> &[f32] {
        &self.greatest
    }

    /// The mean size of each input.
    pub(super) fn means(&self) -> Vec<f32> {
        self.sums.iter().map(|sum| (sum / self.rows.max(1) as f64) as f32).collect()
    }

    /// Some rows, evenly from first to last.
    pub(super) fn samples(&self) -> &[f32] {
        &self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_kept_evenly() {
        let mut seen = Statistics::new(2);
        for row in 0..2000 {
            seen.add(&[row as f32, -1.0]);
        }
        let kept: Vec<f32> = seen.samples().chunks(2).map(|row| row[0]).collect();
        assert!(kept.len() >= ROWS && kept.windows(2).all(|pair| pair[1] - pair[0] == kept[1] - kept[0]), "{kept:?}");
        assert_eq!((seen.greatest(), seen.means()), (&[1999.0, 1.0][..], vec![999.5, 1.0]));
    }
}
