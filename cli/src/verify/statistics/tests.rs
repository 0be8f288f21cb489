//! References: scipy 1.17, statsmodels 0.15 and numpy 2.4.

use super::*;

fn near(got: f64, expected: f64) {
    assert!((got - expected).abs() < 1e-9, "expected {expected}, got {got}");
}

#[test]
fn spearman_is_that_of_scipy() {
    let (a, b) = ([0.1, 0.5, 0.5, 0.9, -0.3, 0.7], [0.2, 0.4, 0.6, 0.6, -0.1, 0.8]);
    near(spearman(&a, &b).unwrap(), 0.8676470588235294);
    near(spearman(&a, &a.map(|x| x * x * x)).unwrap(), 1.0);
    assert_eq!(spearman(&a, &[1.0; 6]), None);
    assert_eq!(spearman(&[], &[]), None);
}

#[test]
fn percentiles_are_those_of_numpy() {
    let values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
    for (part, expected) in [(0.01, 1.0), (0.5, 3.5), (0.75, 5.25), (1.0, 9.0)] {
        near(percentile(&values, part), expected);
    }
    assert_eq!(percentile(&[], 0.5), 0.0);
}

#[test]
fn wilsons_interval_is_that_of_statsmodels() {
    for (right, total, low, high) in
        [(28.0, 35.0, 0.6410838693433438, 0.8995755352620138), (0.0, 20.0, 0.0, 0.1611251580528194)]
    {
        let interval = wilson(right / total, total);
        near(interval.0, low);
        near(interval.1, high);
    }
}

/// From Newcombe's formulas in Python, over Wilson's intervals of statsmodels.
#[test]
fn the_interval_of_a_paired_difference_is_newcombes() {
    for (counts, low, high) in [
        ([36, 12, 2, 4], -0.3172804707502702, -0.050559163511618016),
        ([29, 3, 1, 2], -0.20076469885037895, 0.07916775526559866),
        ([2700, 40, 25, 315], -0.010158094381864907, 0.00034761498946273613),
        ([20, 0, 0, 0], -0.16112515805281957, 0.16112515805281957),
        ([10, 0, 5, 0], 0.06032033430660377, 0.5828645226148024),
    ] {
        let [both, first_only, second_only, neither] = counts;
        let interval = Paired { both, first_only, second_only, neither }.difference();
        near(interval.0, low);
        near(interval.1, high);
    }
}

#[test]
fn the_interval_holds_the_true_difference_about_as_often_as_it_says() {
    let mut random = fastrand::Rng::with_seed(7);
    let (both, first_only, second_only) = (0.75, 0.08, 0.04);
    let mut held = 0;
    for _ in 0..2000 {
        let outcome = |chance: f64| match chance {
            chance if chance < both => (true, true),
            chance if chance < both + first_only => (true, false),
            chance if chance < both + first_only + second_only => (false, true),
            _ => (false, false),
        };
        let draws: Vec<_> = (0..150).map(|_| outcome(random.f64())).collect();
        let (low, high) = Paired::of(draws.into_iter()).difference();
        held += usize::from((low..=high).contains(&(second_only - first_only)));
    }
    let part = held as f64 / 2000.0;
    assert!((0.93..0.98).contains(&part), "{part}");
}
