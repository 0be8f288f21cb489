//! Trees of small ensembles.

use emberlite::ops::tree_ensemble::forest::{Branch, Comparison, Node, Tree, Weight};
use emberlite::ops::tree_ensemble::{Finish, PostTransform};
use proptest::prelude::*;

use super::*;

const FEATURES: usize = 3;

fn branch(feature: usize, threshold: f32, missing_holds: bool, holds: usize) -> Node<f32> {
    let comparison = Comparison::AtMost;
    Node::Branch(Branch { feature, comparison, threshold, missing_holds, holds, fails: holds + 1 })
}

fn leaf(weights: &[f32]) -> Node<f32> {
    let weights = weights.iter().enumerate().map(|(target, weight)| Weight { target, weight: *weight });
    Node::Leaf(weights.collect())
}

/// A tree of depth 2 with four leaves.
fn tree(tests: [(usize, f32); 3], leaves: [&[f32]; 4]) -> Tree<f32> {
    let [root, left, right] = tests;
    let test = |(feature, threshold), at| branch(feature, threshold, false, at);
    let mut nodes = vec![test(root, 1), test(left, 3), test(right, 5)];
    nodes.extend(leaves.map(leaf));
    Tree { nodes }
}

fn ensemble(trees: &[Tree<f32>], targets: usize, aggregate: Aggregate) -> Ensemble<f32> {
    let forest = Forest::build(trees, FEATURES, targets).unwrap();
    Ensemble::new(forest, Finish::Scores, aggregate, PostTransform::None, vec![]).unwrap()
}

fn number() -> impl Strategy<Value = f32> {
    prop::sample::select(vec![-1.0, 0.0, 0.5, 1.0, 2.0, f32::INFINITY, f32::NAN])
}

fn any_tree() -> impl Strategy<Value = Tree<f32>> {
    let test = (0..FEATURES, prop::sample::select(vec![-1.0f32, 0.0, 1.0]), any::<bool>());
    let weight = (-2i8..3).prop_map(f32::from);
    (prop::collection::vec(test, 3), prop::collection::vec(weight, 4)).prop_map(|(tests, weights)| {
        let test = |at: usize, child| branch(tests[at].0, tests[at].1, tests[at].2, child);
        let mut nodes = vec![test(0, 1), test(1, 3), test(2, 5)];
        nodes.extend(weights.iter().map(|weight| leaf(&[*weight])));
        Tree { nodes }
    })
}

fn aggregates() -> impl Strategy<Value = Aggregate> {
    prop::sample::select(vec![Aggregate::Sum, Aggregate::Average, Aggregate::Min, Aggregate::Max])
}

proptest! {
    #[test]
    fn what_is_made_simpler_gives_the_same(
        trees in prop::collection::vec(any_tree(), 1..6),
        repeated in 0usize..3,
        aggregate in aggregates(),
        rows in prop::collection::vec(number(), FEATURES * 40),
    ) {
        let trees: Vec<Tree<f32>> = trees.iter().cloned().chain(trees.iter().take(repeated).cloned()).collect();
        let before = ensemble(&trees, 1, aggregate);
        let flat = simplified(&before, true).unwrap();
        prop_assert!(flat.roots.len() <= trees.len());
        let mut flat = flat;
        if aggregate == Aggregate::Average {
            let factor = flat.roots.len() as f32 / trees.len() as f32;
            flat.weights.iter_mut().for_each(|weight| *weight *= factor);
        }
        let after = checked(&before, &flat).unwrap();
        let scores = |ensemble: &Ensemble<f32>| ensemble.eval(&rows, FEATURES).unwrap().scores;
        for (a, b) in scores(&before).iter().zip(scores(&after)) {
            prop_assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}

#[test]
fn trees_that_branch_alike_are_one_and_branches_that_nothing_reaches_are_gone() {
    let tests = [(0, 0.5), (1, 0.0), (1, 1.0)];
    let one = tree(tests, [&[1.0], &[2.0], &[3.0], &[4.0]]);
    let other = tree(tests, [&[0.5], &[0.75], &[0.25], &[1.0]]);
    // Below 0.5, nothing is above 2; both leaves of the other side are the same.
    let idle = tree([(0, 0.5), (0, 2.0), (2, 0.0)], [&[7.0], &[8.0], &[7.0], &[7.0]]);
    let all = ensemble(&[one, other, idle], 1, Aggregate::Sum);
    let flat = simplified(&all, true).unwrap();
    assert_eq!((flat.roots.len(), flat.nodes.len()), (1, 7));
    assert_eq!(flat.weights, [8.5, 9.75, 10.25, 12.0]);
}

/// Many trees of which the later ones do little of their own.
fn forest(targets: usize) -> Vec<Tree<f32>> {
    let mut random = fastrand::Rng::with_seed(2);
    let mut numbers = |count: usize, scale: f32| (0..count).map(|_| (random.f32() - 0.3) * scale).collect::<Vec<_>>();
    (0..24)
        .map(|number| {
            let splits = numbers(3, 2.0);
            let leaves: Vec<Vec<f32>> =
                (0..4).map(|_| numbers(targets, if number < 12 { 2.0 } else { 0.05 })).collect();
            let test = |at: usize| ((number + at) % FEATURES, splits[at]);
            let leaf = |at: usize| leaves[at].as_slice();
            tree([test(0), test(1), test(2)], [leaf(0), leaf(1), leaf(2), leaf(3)])
        })
        .collect()
}

fn rows(seed: u64, count: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count * FEATURES).map(|_| random.f32() * 2.0 - 1.0).collect()
}

/// Half of an ensemble's trees, fitted to some rows.
fn half(ensemble: &Ensemble<f32>) -> Flat<f32> {
    let flat = simplified(ensemble, false).unwrap();
    fit::fewer(&flat, &rows(1, 400), FEATURES, 12, ensemble.has_negative_weights()).unwrap()
}

#[test]
fn trees_that_do_little_go_and_the_others_are_fitted_to_all() {
    for targets in [1, 3] {
        let all = ensemble(&forest(targets), targets, Aggregate::Sum);
        let fewer = checked(&all, &half(&all)).unwrap();
        assert_eq!(fewer.forest().trees(), 12);
        let given = |ensemble: &Ensemble<f32>| ensemble.eval(&rows(8, 200), FEATURES).unwrap().scores;
        let (expected, got) = (given(&all), given(&fewer));
        let mean = expected.iter().sum::<f32>() / expected.len() as f32;
        let variance: f32 = expected.iter().map(|x| (x - mean).powi(2)).sum();
        let lost: f32 = expected.iter().zip(&got).map(|(a, b)| (a - b).powi(2)).sum();
        assert!(lost < 2e-3 * variance, "{lost} {variance}");
        assert_eq!(half(&all), half(&all));
    }
}

#[test]
fn shares_stay_shares() {
    let mut trees = forest(3);
    for node in trees.iter_mut().flat_map(|tree| &mut tree.nodes) {
        let Node::Leaf(weights) = node else { continue };
        weights.iter_mut().for_each(|weight| weight.weight = weight.weight.abs() + 0.01);
        let sum: f32 = weights.iter().map(|weight| weight.weight).sum();
        weights.iter_mut().for_each(|weight| weight.weight /= sum * 24.0);
    }
    let all = ensemble(&trees, 3, Aggregate::Sum);
    let fewer = checked(&all, &half(&all)).unwrap();
    for row in fewer.eval(&rows(8, 100), FEATURES).unwrap().scores.chunks(3) {
        assert!(row.iter().all(|share| *share >= 0.0) && (row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
    }
}
