//! Trees of an ensemble with everything that is there twice held once, and what can be made simpler without a change.

use std::collections::{BTreeMap, HashMap, VecDeque};

use anyhow::{Context as _, Result, ensure};
use emberlite::ops::tree_ensemble::forest::{Flat, FlatNode, Threshold};

/// A leaf's weights, or a branch with its children, which stand before it in the pool.
#[derive(Clone, Debug)]
enum Node<T> {
    Leaf(Vec<(u32, T)>),
    Branch { node: FlatNode<T>, first: usize, second: usize },
}

/// What makes two nodes the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Leaf(Vec<(u32, Vec<u32>)>),
    Branch(Vec<u32>, u32, usize, usize),
}

/// What a feature may be where a walk has come to.
#[derive(Clone, Copy, Debug)]
struct Bounds<T> {
    above: Option<T>,
    at_most: Option<T>,
    missing: bool,
}

/// Nodes of trees, each once.
#[derive(Clone, Debug)]
pub(super) struct Pool<T> {
    nodes: Vec<Node<T>>,
    known: HashMap<Key, usize>,
    features: usize,
    targets: usize,
}

/// How leaves of trees that branch alike are made one.
pub(super) type Join<T> = fn(T, T) -> T;

impl<T: Threshold> Pool<T> {
    /// The trees of a forest, by their roots.
    pub(super) fn of(flat: &Flat<T>) -> Result<(Self, Vec<usize>)> {
        let mut pool =
            Self { nodes: Vec::new(), known: HashMap::new(), features: flat.feature_count, targets: flat.target_count };
        // Every node stands before its children.
        let mut places = vec![0; flat.nodes.len()];
        for (place, node) in flat.nodes.iter().enumerate().rev() {
            let next = node.next as usize;
            places[place] = if node.is_leaf() {
                let span = flat.spans[next] as usize..flat.spans[next + 1] as usize;
                pool.leaf(flat.targets[span.clone()].iter().copied().zip(flat.weights[span].iter().copied()).collect())
            } else {
                pool.branch(*node, places[next], places[next + 1])
            };
        }
        Ok((pool, flat.roots.iter().map(|root| places[*root as usize]).collect()))
    }

    /// Trees without the branches that no input reaches.
    pub(super) fn reached(&mut self, roots: &[usize]) -> Vec<usize> {
        roots.iter().map(|root| self.within(*root, &mut BTreeMap::new())).collect()
    }

    fn within(&mut self, tree: usize, bounds: &mut BTreeMap<u32, Bounds<T>>) -> usize {
        let Node::Branch { node, first, second } = self.nodes[tree].clone() else { return tree };
        if node.is_equality() {
            let children = [self.within(first, bounds), self.within(second, bounds)];
            return self.branch(node, children[0], children[1]);
        }
        let (feature, threshold) = (node.feature(), node.threshold);
        let before = bounds.get(&feature).copied();
        let now = before.unwrap_or(Bounds { above: None, at_most: None, missing: true });
        let missing_first = now.missing && node.takes_missing_first();
        let missing_second = now.missing && !node.takes_missing_first();
        let some_at_most = !threshold.is_missing() && now.above.is_none_or(|above| above < threshold);
        let some_above = threshold.is_missing() || now.at_most.is_none_or(|at_most| threshold < at_most);
        let mut side = |pool: &mut Self, child: usize, narrower: Bounds<T>| {
            bounds.insert(feature, narrower);
            let tree = pool.within(child, bounds);
            match before {
                Some(before) => drop(bounds.insert(feature, before)),
                None => drop(bounds.remove(&feature)),
            }
            tree
        };
        let low = Bounds { at_most: least(now.at_most, threshold), missing: missing_first, ..now };
        let high = Bounds { above: greatest(now.above, threshold), missing: missing_second, ..now };
        match (some_at_most || missing_first, some_above || missing_second) {
            (true, false) => side(self, first, low),
            (false, true) => side(self, second, high),
            _ => {
                let children = [side(self, first, low), side(self, second, high)];
                self.branch(node, children[0], children[1])
            }
        }
    }

    /// Trees that branch alike made one; a tree that is but a leaf becomes part of another.
    pub(super) fn merged(&mut self, roots: &[usize], join: Join<T>) -> Vec<usize> {
        let mut shapes = HashMap::new();
        let mut merged: Vec<usize> = Vec::new();
        let mut places: HashMap<usize, usize> = HashMap::new();
        let mut constant: Option<usize> = None;
        for root in roots {
            if matches!(self.nodes[*root], Node::Leaf(_)) {
                constant = Some(constant.map_or(*root, |constant| self.joined(constant, *root, join)));
                continue;
            }
            let shape = self.shape(*root, &mut shapes);
            match places.get(&shape) {
                Some(place) => merged[*place] = self.joined(merged[*place], *root, join),
                None => {
                    places.insert(shape, merged.len());
                    merged.push(*root);
                }
            }
        }
        match (constant, merged.first().copied()) {
            (Some(constant), Some(first)) => merged[0] = self.joined(first, constant, join),
            (Some(constant), None) => merged.push(constant),
            (None, _) => {}
        }
        merged
    }

    /// A number for all trees that branch alike.
    fn shape(&self, tree: usize, shapes: &mut HashMap<Key, usize>) -> usize {
        let key = match &self.nodes[tree] {
            Node::Leaf(_) => Key::Leaf(Vec::new()),
            Node::Branch { node, first, second } => {
                let children = [self.shape(*first, shapes), self.shape(*second, shapes)];
                Key::Branch(node.threshold.to_words(), node.feature, children[0], children[1])
            }
        };
        let next = shapes.len();
        *shapes.entry(key).or_insert(next)
    }

    fn joined(&mut self, one: usize, other: usize, join: Join<T>) -> usize {
        match (self.nodes[one].clone(), self.nodes[other].clone()) {
            (Node::Leaf(one), Node::Leaf(other)) => {
                let mut weights: BTreeMap<u32, T> = BTreeMap::new();
                for (target, weight) in one.into_iter().chain(other) {
                    weights.entry(target).and_modify(|sum| *sum = join(*sum, weight)).or_insert(weight);
                }
                self.leaf(weights.into_iter().collect())
            }
            (Node::Branch { node, first, second }, Node::Leaf(_)) => {
                let children = [self.joined(first, other, join), self.joined(second, other, join)];
                self.branch(node, children[0], children[1])
            }
            (Node::Leaf(_), Node::Branch { .. }) => self.joined(other, one, join),
            (Node::Branch { node, first, second }, Node::Branch { first: f, second: s, .. }) => {
                let children = [self.joined(first, f, join), self.joined(second, s, join)];
                self.branch(node, children[0], children[1])
            }
        }
    }

    /// The trees as they are stored; leaves that weigh the same are one where `shared`, else each has a number of its own.
    pub(super) fn flat(&self, roots: &[usize], shared: bool) -> Result<Flat<T>> {
        let mut flat =
            Flat { spans: vec![0], feature_count: self.features, target_count: self.targets, ..Flat::default() };
        let mut numbers: HashMap<usize, u32> = HashMap::new();
        for root in roots {
            flat.roots.push(u32::try_from(flat.nodes.len())?);
            flat.nodes.push(FlatNode::default());
            let mut open = VecDeque::from([(*root, flat.nodes.len() - 1)]);
            while let Some((from, to)) = open.pop_front() {
                match &self.nodes[from] {
                    Node::Branch { node, first, second } => {
                        let next = flat.nodes.len();
                        flat.nodes[to] = FlatNode { next: u32::try_from(next)?, ..*node };
                        flat.nodes.extend([FlatNode::default(); 2]);
                        open.extend([(*first, next), (*second, next + 1)]);
                    }
                    Node::Leaf(weights) => {
                        let known = numbers.get(&from).copied().filter(|_| shared);
                        let number = known.unwrap_or(u32::try_from(flat.spans.len() - 1)?);
                        if known.is_none() {
                            numbers.insert(from, number);
                            flat.targets.extend(weights.iter().map(|(target, _)| *target));
                            flat.weights.extend(weights.iter().map(|(_, weight)| *weight));
                            flat.spans.push(u32::try_from(flat.weights.len())?);
                        }
                        flat.nodes[to] = FlatNode::leaf(number);
                    }
                }
            }
        }
        Ok(flat)
    }

    fn leaf(&mut self, weights: Vec<(u32, T)>) -> usize {
        let key = Key::Leaf(weights.iter().map(|(target, weight)| (*target, weight.to_words())).collect());
        self.node(key, Node::Leaf(weights))
    }

    /// A branch, or its only child where both are the same.
    fn branch(&mut self, node: FlatNode<T>, first: usize, second: usize) -> usize {
        if first == second {
            return first;
        }
        let node = FlatNode { next: 0, ..node };
        let key = Key::Branch(node.threshold.to_words(), node.feature, first, second);
        self.node(key, Node::Branch { node, first, second })
    }

    fn node(&mut self, key: Key, node: Node<T>) -> usize {
        *self.known.entry(key).or_insert_with(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        })
    }
}

fn least<T: Threshold>(bound: Option<T>, threshold: T) -> Option<T> {
    Some(bound.filter(|bound| *bound < threshold).unwrap_or(threshold)).filter(|bound| !bound.is_missing())
}

fn greatest<T: Threshold>(bound: Option<T>, threshold: T) -> Option<T> {
    Some(bound.filter(|bound| *bound > threshold).unwrap_or(threshold)).filter(|bound| !bound.is_missing())
}

/// A forest with other weights in its leaves, which have numbers of their own.
///
/// # Errors
/// Weights for another number of leaves.
pub(super) fn reweighted<T: Threshold>(flat: &Flat<T>, leaves: &[Vec<(u32, T)>]) -> Result<Flat<T>> {
    ensure!(leaves.len() + 1 == flat.spans.len(), "{} leaves have no weights", flat.spans.len());
    let mut flat = Flat { spans: vec![0], targets: Vec::new(), weights: Vec::new(), ..flat.clone() };
    for weights in leaves {
        flat.targets.extend(weights.iter().map(|(target, _)| *target));
        flat.weights.extend(weights.iter().map(|(_, weight)| *weight));
        flat.spans.push(u32::try_from(flat.weights.len()).context("too many weights")?);
    }
    Ok(flat)
}
