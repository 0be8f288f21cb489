//! Decision trees in one flat array.
//!
//! A node is 12 bytes (16 with `f64` thresholds) and its two children stand side by side, so that a step is a load, a
//! comparison and an addition, without a branch. A leaf's comparison never holds and its "children" stand one place
//! before it, so that a step from a leaf ends in the same leaf: several walks can then advance in lockstep, whatever
//! their depths, which hides the latency of the loads.

mod build;
mod flat;
mod threshold;
mod walk;

use tract_nnef::internal::*;

pub use build::{Branch, Comparison, Node, Tree, Weight};
pub use flat::{Flat, FlatNode};
pub use threshold::Threshold;

/// Features from here on cannot be addressed: the bits above are flags.
const FEATURE_MASK: u32 = LEAF - 1;
/// The node has weights, not children.
const LEAF: u32 = 1 << 29;
/// The comparison is equality, not "at most".
const EQUAL: u32 = 1 << 30;
/// A missing value (NaN) takes the first child.
const MISSING_FIRST: u32 = 1 << 31;

#[derive(Clone, Copy, Debug)]
struct Packed<T> {
    threshold: T,
    /// Flags and the feature's index.
    feature: u32,
    /// The first child; the second follows it.
    child: u32,
}

/// Trees whose every index was checked: a walk stays in the array, and ends.
///
/// # Invariants
/// - every root is a node; either child of a node stands further down than the node, a leaf's excepted;
/// - every feature is below [`Forest::features`];
/// - every leaf has a range in the list of weights, and every weight's target is below [`Forest::targets`].
#[derive(Clone, Debug)]
pub struct Forest<T> {
    nodes: Vec<Packed<T>>,
    /// By node: the leaf's number; 0 for a node that is none.
    leaves: Vec<u32>,
    roots: Vec<u32>,
    /// By leaf: where its weights begin; one more than there are leaves.
    spans: Vec<u32>,
    /// By weight: what it counts for, and how much.
    weights: Vec<(u32, T)>,
    /// By node: the leaf's only weight. Empty unless there is one target and every leaf has one weight.
    values: Vec<T>,
    features: usize,
    targets: usize,
    has_equal: bool,
    has_missing_first: bool,
}

impl<T: Threshold> Forest<T> {
    /// Checks `flat` and makes it walkable.
    ///
    /// # Errors
    /// Tells which of the invariants does not hold, and for which node, leaf or weight.
    pub fn new(flat: &Flat<T>) -> TractResult<Forest<T>> {
        flat.check()?;
        let pack = |(place, node): (usize, &FlatNode<T>)| match node.is_leaf() {
            // Subtracting from the leaf's own place makes the second child of a leaf the leaf itself.
            true => Packed { threshold: T::never(), feature: 0, child: (place as u32).wrapping_sub(1) },
            false => Packed { threshold: node.threshold, feature: node.feature, child: node.next },
        };
        let has = |flag: u32| flat.nodes.iter().any(|node| !node.is_leaf() && node.feature & flag != 0);
        Ok(Forest {
            values: flat.values(),
            nodes: flat.nodes.iter().enumerate().map(pack).collect(),
            leaves: flat.nodes.iter().map(|node| if node.is_leaf() { node.next } else { 0 }).collect(),
            roots: flat.roots.clone(),
            spans: flat.spans.clone(),
            weights: flat.targets.iter().copied().zip(flat.weights.iter().copied()).collect(),
            features: flat.feature_count,
            targets: flat.target_count,
            has_equal: has(EQUAL),
            has_missing_first: has(MISSING_FIRST),
        })
    }

    /// The forest as it is stored.
    pub fn to_flat(&self) -> Flat<T> {
        let unpack = |(place, node): (usize, &Packed<T>)| {
            let is_leaf = node.child.wrapping_add(1) == place as u32;
            let next = if is_leaf { self.leaves[place] } else { node.child };
            let feature = if is_leaf { LEAF } else { node.feature };
            FlatNode { threshold: if is_leaf { T::default() } else { node.threshold }, feature, next }
        };
        Flat {
            nodes: self.nodes.iter().enumerate().map(unpack).collect(),
            roots: self.roots.clone(),
            spans: self.spans.clone(),
            targets: self.weights.iter().map(|(target, _)| *target).collect(),
            weights: self.weights.iter().map(|(_, weight)| *weight).collect(),
            feature_count: self.features,
            target_count: self.targets,
        }
    }

    /// How many features a row needs.
    pub fn features(&self) -> usize {
        self.features
    }

    /// How many targets the weights count for.
    pub fn targets(&self) -> usize {
        self.targets
    }

    /// How many trees there are.
    pub fn trees(&self) -> usize {
        self.roots.len()
    }

    /// The weights of the leaf with this number.
    fn weights_of(&self, leaf: u32) -> &[(u32, T)] {
        let leaf = leaf as usize;
        &self.weights[self.spans[leaf] as usize..self.spans[leaf + 1] as usize]
    }

    /// Every weight, in the order of the leaves.
    pub(super) fn weights(&self) -> &[(u32, T)] {
        &self.weights
    }
}
