//! How far a layer's outputs are from what they were.

/// The mean over the rows of the square of their error, as a part of the square of their length. A row counts as much as
/// any other, however great its numbers are.
pub(super) fn layer_loss(expected: &[f32], got: &[f32], outputs: usize) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let of_row = |(expected, got): (&[f32], &[f32])| {
        let power: f64 = expected.iter().map(|x| square(*x)).sum();
        let lost: f64 = expected.iter().zip(got).map(|(a, b)| square(a - b)).sum();
        if lost == 0.0 { 0.0 } else { (lost / power.max(f64::MIN_POSITIVE)).min(1.0) }
    };
    let rows = expected.chunks_exact(outputs.max(1)).zip(got.chunks_exact(outputs.max(1)));
    let count = rows.len().max(1) as f64;
    rows.map(of_row).sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_counts_alike() {
        let expected = [1.0, 0.0, 1000.0, 0.0];
        assert_eq!(layer_loss(&expected, &expected, 2), 0.0);
        assert!((layer_loss(&expected, &[1.0, 0.1, 1000.0, 100.0], 2) - 0.01).abs() < 1e-6);
        assert_eq!(layer_loss(&[0.0, 0.0], &[1.0, 0.0], 2), 1.0);
    }
}
