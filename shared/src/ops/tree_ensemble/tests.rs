//! The forest against its plain twin, and against arrays that are none.

use proptest::prelude::*;
use tract_nnef::internal::*;

use super::forest::{Branch, Comparison, Flat, FlatNode, Forest, Node, Threshold, Tree, Weight};
use super::{Aggregate, Ensemble, Finish, PostTransform};

const FEATURES: usize = 3;
const TARGETS: usize = 2;

/// Few values, so that features often equal thresholds.
fn number() -> impl Strategy<Value = f32> {
    prop::sample::select(vec![-1.0, -0.0, 0.0, 0.5, 1.0, 2.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MIN])
}

fn leaf() -> impl Strategy<Value = Node<f32>> {
    let weight = (0..TARGETS, -4i8..4).prop_map(|(target, weight)| Weight { target, weight: f32::from(weight) });
    prop::collection::vec(weight, 0..3).prop_map(Node::Leaf)
}

fn branch(below: usize, count: usize) -> impl Strategy<Value = Node<f32>> {
    use Comparison::*;
    let comparison = prop::sample::select(vec![AtMost, Less, AtLeast, Greater, Equal, NotEqual]);
    (0..FEATURES, comparison, number(), any::<bool>(), below..count, below..count).prop_map(
        |(feature, comparison, threshold, missing_holds, holds, fails)| {
            Node::Branch(Branch { feature, comparison, threshold, missing_holds, holds, fails })
        },
    )
}

/// A tree of `count` nodes whose children are further down.
fn tree() -> impl Strategy<Value = Tree<f32>> {
    (1usize..12).prop_flat_map(|count| {
        let node = move |place: usize| match place + 1 < count {
            true => prop_oneof![3 => branch(place + 1, count).boxed(), 1 => leaf().boxed()].boxed(),
            false => leaf().boxed(),
        };
        (0..count).map(node).collect::<Vec<_>>().prop_map(|nodes| Tree { nodes })
    })
}

fn rows() -> impl Strategy<Value = Vec<f32>> {
    (1usize..80).prop_flat_map(|rows| prop::collection::vec(number(), rows * FEATURES))
}

fn leaf_of<'a>(tree: &'a Tree<f32>, row: &[f32]) -> &'a [Weight<f32>] {
    let mut at = 0;
    loop {
        match &tree.nodes[at] {
            Node::Leaf(weights) => return weights,
            Node::Branch(branch) => {
                let (value, threshold) = (row[branch.feature], branch.threshold);
                let holds = match branch.comparison {
                    Comparison::AtMost => value <= threshold,
                    Comparison::Less => value < threshold,
                    Comparison::AtLeast => value >= threshold,
                    Comparison::Greater => value > threshold,
                    Comparison::Equal => value == threshold,
                    Comparison::NotEqual => value != threshold,
                };
                at = if holds || branch.missing_holds && value.is_nan() { branch.holds } else { branch.fails };
            }
        }
    }
}

fn sums(trees: &[Tree<f32>], row: &[f32]) -> [f32; TARGETS] {
    let mut sums = [0.0; TARGETS];
    for Weight { target, weight } in trees.iter().flat_map(|tree| leaf_of(tree, row)) {
        sums[*target] += weight;
    }
    sums
}

fn summing<T: Threshold>(forest: Forest<T>) -> Ensemble<T> {
    Ensemble::new(forest, Finish::Scores, Aggregate::Sum, PostTransform::None, vec![]).unwrap()
}

/// The trees share children, so that copies may run out of room; such trees are left out.
fn built(trees: &[Tree<f32>]) -> Option<Forest<f32>> {
    Forest::build(trees, FEATURES, TARGETS).ok()
}

proptest! {
    #[test]
    fn a_forest_gives_what_its_plain_twin_gives(trees in prop::collection::vec(tree(), 0..20), rows in rows()) {
        let Some(forest) = built(&trees) else { return Ok(()) };
        let outcome = summing(forest).eval(&rows, FEATURES).unwrap();
        let expected: Vec<f32> = rows.chunks(FEATURES).flat_map(|row| sums(&trees, row)).collect();
        prop_assert_eq!(outcome.scores, expected);
    }

    #[test]
    fn a_forest_is_the_same_after_storage(trees in prop::collection::vec(tree(), 1..5), rows in rows()) {
        let Some(forest) = built(&trees) else { return Ok(()) };
        let again = Forest::new(&forest.to_flat()).unwrap();
        prop_assert_eq!(summing(forest).eval(&rows, FEATURES).unwrap(), summing(again).eval(&rows, FEATURES).unwrap());
    }

    #[test]
    fn trees_that_point_anywhere_never_panic(
        trees in prop::collection::vec(prop::collection::vec(prop_oneof![branch(0, 9).boxed(), leaf().boxed()], 0..8), 0..4),
        rows in rows(),
    ) {
        let trees: Vec<_> = trees.into_iter().map(|nodes| Tree { nodes }).collect();
        if let Some(forest) = built(&trees) {
            summing(forest).eval(&rows, FEATURES).unwrap();
        }
    }

    #[test]
    fn arrays_of_anything_are_refused_or_walked(
        nodes in prop::collection::vec((number(), word(), word()), 0..12),
        roots in prop::collection::vec(word(), 0..4),
        spans in prop::collection::vec(word(), 0..6),
        weights in prop::collection::vec((word(), number()), 0..6),
        rows in rows(),
    ) {
        let node = |(threshold, feature, next)| FlatNode { threshold, feature, next };
        let flat = Flat {
            nodes: nodes.into_iter().map(node).collect(),
            roots,
            spans,
            targets: weights.iter().map(|(target, _)| *target).collect(),
            weights: weights.iter().map(|(_, weight)| *weight).collect(),
            feature_count: FEATURES,
            target_count: TARGETS,
        };
        if let Ok(forest) = Forest::new(&flat) {
            summing(forest).eval(&rows, FEATURES).unwrap();
        }
    }

    #[test]
    fn a_stored_forest_with_one_word_changed_is_refused_or_walked(
        trees in prop::collection::vec(tree(), 1..5),
        place in any::<prop::sample::Index>(),
        word in word(),
        which in 0..5,
        rows in rows(),
    ) {
        let Some(forest) = built(&trees) else { return Ok(()) };
        let mut flat = forest.to_flat();
        match which {
            0 => flat.nodes[place.index(forest.to_flat().nodes.len())].next = word,
            1 => flat.nodes[place.index(forest.to_flat().nodes.len())].feature = word,
            2 => flat.roots[place.index(trees.len())] = word,
            3 => flat.spans[place.index(forest.to_flat().spans.len())] = word,
            _ if !flat.targets.is_empty() => flat.targets[place.index(forest.to_flat().targets.len())] = word,
            _ => {}
        }
        if let Ok(forest) = Forest::new(&flat) {
            summing(forest).eval(&rows, FEATURES).unwrap();
        }
    }
}

/// A small number, often with a node's flags.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0u32..14, 2 => (0u32..8, 1u32..8).prop_map(|(low, flags)| low | flags << 29), 1 => any::<u32>()]
}

#[test]
fn rows_that_are_too_short_are_refused() -> TractResult<()> {
    let nodes = vec![
        Node::Branch(Branch {
            feature: 2,
            comparison: Comparison::AtMost,
            threshold: 0.0,
            missing_holds: false,
            holds: 1,
            fails: 1,
        }),
        Node::Leaf(vec![]),
    ];
    let ensemble = summing(Forest::build(&[Tree { nodes }], FEATURES, TARGETS)?);
    let refused = ensemble.eval(&[0.0, 0.0], 2).unwrap_err();
    assert_eq!(refused.to_string(), "expected rows of 3 features, got 2");
    Ok(())
}
