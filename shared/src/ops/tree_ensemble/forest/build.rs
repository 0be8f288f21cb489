//! A forest made from trees of nodes that point anywhere.

use std::collections::VecDeque;

use tract_nnef::internal::*;

use super::{EQUAL, FEATURE_MASK, Flat, FlatNode, Forest, MISSING_FIRST, Threshold};

/// How an inner node compares its feature with its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `feature <= threshold`
    AtMost,
    /// `feature < threshold`
    Less,
    /// `feature >= threshold`
    AtLeast,
    /// `feature > threshold`
    Greater,
    /// `feature == threshold`
    Equal,
    /// `feature != threshold`
    NotEqual,
}

/// A node with two children.
#[derive(Clone, Copy, Debug)]
pub struct Branch<T> {
    /// The index of the feature that is compared.
    pub feature: usize,
    /// How.
    pub comparison: Comparison,
    /// With what.
    pub threshold: T,
    /// Whether a missing feature (NaN) counts as if the comparison held. Without it the comparison is made as floats
    /// are compared: only "not equal" holds.
    pub missing_holds: bool,
    /// Where to go if the comparison holds: an index in [`Tree::nodes`].
    pub holds: usize,
    /// Where to go otherwise.
    pub fails: usize,
}

/// What a leaf adds to a target.
#[derive(Clone, Copy, Debug)]
pub struct Weight<T> {
    /// The target's index.
    pub target: usize,
    /// What is added.
    pub weight: T,
}

/// A node of a tree.
#[derive(Clone, Debug)]
pub enum Node<T> {
    /// One with two children.
    Branch(Branch<T>),
    /// One where a walk ends.
    Leaf(Vec<Weight<T>>),
}

/// A tree. The first node is its root; nodes that cannot be reached from there do no harm.
#[derive(Clone, Debug)]
pub struct Tree<T> {
    /// The nodes.
    pub nodes: Vec<Node<T>>,
}

impl<T: Threshold> Forest<T> {
    /// Makes a forest of `trees`, in their order. Nodes may share a child; it is copied then.
    ///
    /// # Errors
    /// A child, a feature or a target that is not there, a loop, or children shared so often that the copies would
    /// make the forest eight times as large.
    pub fn build(trees: &[Tree<T>], features: usize, targets: usize) -> TractResult<Forest<T>> {
        ensure!(features <= FEATURE_MASK as usize, "a forest has at most {FEATURE_MASK} features, not {features}");
        let room = trees.iter().map(|tree| tree.nodes.len()).sum::<usize>().saturating_mul(8);
        let mut flat = Flat { spans: vec![0], feature_count: features, target_count: targets, ..Flat::default() };
        for (number, tree) in trees.iter().enumerate() {
            flat.add_tree(tree, room).with_context(|| format!("tree {number}"))?;
        }
        Forest::new(&flat)
    }
}

impl<T: Threshold> Flat<T> {
    fn add_tree(&mut self, tree: &Tree<T>, room: usize) -> TractResult<()> {
        self.roots.push(u32::try_from(self.nodes.len())?);
        self.nodes.push(FlatNode::default());
        let mut open = VecDeque::from([(0, self.nodes.len() - 1, 1)]);
        while let Some((from, to, depth)) = open.pop_front() {
            ensure!(depth <= tree.nodes.len(), "node {from} is its own ancestor");
            ensure!(self.nodes.len() <= room, "its nodes share too many children");
            let branch = match tree.nodes.get(from).with_context(|| format!("there is no node {from}"))? {
                Node::Leaf(weights) => {
                    self.nodes[to] = self.add_leaf(weights)?;
                    continue;
                }
                Node::Branch(branch) => branch,
            };
            let child = self.nodes.len();
            let (node, first, second) = place(branch, u32::try_from(child)?)?;
            self.nodes[to] = node;
            self.nodes.extend([FlatNode::default(); 2]);
            open.extend([(first, child, depth + 1), (second, child + 1, depth + 1)]);
        }
        Ok(())
    }

    fn add_leaf(&mut self, weights: &[Weight<T>]) -> TractResult<FlatNode<T>> {
        for Weight { target, weight } in weights {
            self.targets.push(u32::try_from(*target)?);
            self.weights.push(*weight);
        }
        let leaf = u32::try_from(self.spans.len() - 1)?;
        self.spans.push(u32::try_from(self.weights.len())?);
        Ok(FlatNode::leaf(leaf))
    }
}

/// The node for `branch` with its children at `next`, and which of the branch's children come first and second there.
fn place<T: Threshold>(branch: &Branch<T>, next: u32) -> TractResult<(FlatNode<T>, usize, usize)> {
    use Comparison::*;
    let index = u32::try_from(branch.feature).ok().filter(|&feature| feature <= FEATURE_MASK);
    let mut feature = index.with_context(|| format!("feature {} is out of range", branch.feature))?;
    let (swapped, threshold) = match branch.comparison {
        AtMost => (false, branch.threshold),
        Less => (false, branch.threshold.just_below()),
        AtLeast => (true, branch.threshold.just_below()),
        Greater => (true, branch.threshold),
        Equal => (false, branch.threshold),
        NotEqual => (true, branch.threshold),
    };
    if matches!(branch.comparison, Equal | NotEqual) {
        feature |= EQUAL;
    }
    let missing_holds = branch.missing_holds || branch.comparison == NotEqual;
    // Against a threshold that is no number nothing holds but "not equal", so that the swapped comparisons, which
    // hold where the stored one fails, have to be decided here.
    let (swapped, missing_holds) = match (swapped, branch.threshold.is_missing(), branch.comparison) {
        (true, true, AtLeast | Greater) => (false, branch.missing_holds),
        _ => (swapped, missing_holds),
    };
    if missing_holds != swapped {
        feature |= MISSING_FIRST;
    }
    let (first, second) = if swapped { (branch.fails, branch.holds) } else { (branch.holds, branch.fails) };
    Ok((FlatNode { threshold, feature, next }, first, second))
}
