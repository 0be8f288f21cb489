//! A forest as it is stored: plain arrays, and the check that they are one.

use tract_nnef::internal::*;

use super::{EQUAL, FEATURE_MASK, LEAF, MISSING_FIRST, Threshold};

/// A node as it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FlatNode<T> {
    /// What the feature is compared with: `feature <= threshold` takes the first child. 0 for a leaf.
    pub threshold: T,
    /// The feature's index, with the flags: bit 29 for a leaf, 30 where the comparison is `feature == threshold`,
    /// 31 where a missing value (NaN) takes the first child.
    pub feature: u32,
    /// The place of the first child, which the second follows; a leaf's number.
    pub next: u32,
}

impl<T> FlatNode<T> {
    /// A node where a walk ends, with the number of the leaf.
    pub fn leaf(number: u32) -> Self
    where
        T: Default,
    {
        Self { threshold: T::default(), feature: LEAF, next: number }
    }

    /// The index of the feature that is compared.
    pub fn feature(&self) -> u32 {
        self.feature & FEATURE_MASK
    }

    /// Whether the feature must equal the threshold to take the first child.
    pub fn is_equality(&self) -> bool {
        self.feature & EQUAL != 0
    }

    /// Whether a missing value takes the first child.
    pub fn takes_missing_first(&self) -> bool {
        self.feature & MISSING_FIRST != 0
    }

    /// Whether a walk ends here.
    pub fn is_leaf(&self) -> bool {
        self.feature & LEAF != 0
    }
}

/// A forest as it is stored. Nothing about it is certain before [`super::Forest::new`] checked it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flat<T> {
    /// All the nodes of all the trees, every node before its children.
    pub nodes: Vec<FlatNode<T>>,
    /// By tree: the place of its root.
    pub roots: Vec<u32>,
    /// By leaf: where its weights begin; one more than there are leaves.
    pub spans: Vec<u32>,
    /// By weight: what it counts for.
    pub targets: Vec<u32>,
    /// By weight: how much it counts.
    pub weights: Vec<T>,
    /// How many features a row has, at least.
    pub feature_count: usize,
    /// How many targets there are.
    pub target_count: usize,
}

impl<T: Threshold> Flat<T> {
    pub(super) fn check(&self) -> TractResult<()> {
        let nodes = u32::try_from(self.nodes.len()).context("a forest has fewer than 2^32 nodes")?;
        ensure!(self.target_count > 0, "a forest needs a target");
        ensure!(self.feature_count > 0, "a forest needs a feature");
        ensure!(self.targets.len() == self.weights.len(), "every weight needs a target");
        for (tree, &root) in self.roots.iter().enumerate() {
            ensure!(root < nodes, "tree {tree} starts at node {root} of {nodes}");
        }
        for (place, node) in self.nodes.iter().enumerate() {
            if node.is_leaf() {
                ensure!(
                    (node.next as usize) + 1 < self.spans.len(),
                    "node {place} is leaf {}, which is not there",
                    node.next
                );
                continue;
            }
            let feature = (node.feature & FEATURE_MASK) as usize;
            ensure!(feature < self.feature_count, "node {place} looks at feature {feature} of {}", self.feature_count);
            let below = node.next as usize > place && node.next < nodes - 1;
            ensure!(below, "node {place} has its children at {}, which is not below it", node.next);
        }
        self.check_weights()
    }

    /// By node: the leaf's only weight, if there is one target and every leaf has one weight.
    pub(super) fn values(&self) -> Vec<T> {
        let single = self.target_count == 1 && self.spans.windows(2).all(|pair| pair[1] - pair[0] == 1);
        let value = |node: &FlatNode<T>| if node.is_leaf() { self.weights[node.next as usize] } else { T::default() };
        if single { self.nodes.iter().map(value).collect() } else { Vec::new() }
    }

    fn check_weights(&self) -> TractResult<()> {
        let ordered = self.spans.windows(2).all(|pair| pair[0] <= pair[1]);
        let whole = self.spans.first().is_none_or(|&first| first == 0)
            && self.spans.last().map_or(0, |&last| last as usize) == self.weights.len();
        ensure!(ordered && whole, "the leaves' ranges do not divide the {} weights", self.weights.len());
        for (weight, &target) in self.targets.iter().enumerate() {
            ensure!(
                (target as usize) < self.target_count,
                "weight {weight} counts for target {target} of {}",
                self.target_count
            );
        }
        Ok(())
    }
}
