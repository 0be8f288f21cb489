//! The attributes that describe a tree ensemble, made into trees.

use std::collections::HashMap;
use std::sync::Arc;

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::{NodeProto, TensorProto};
use tract_onnx::tract_hir::internal::*;

use emberlite::ops::tree_ensemble::forest::{Branch, Comparison, Forest, Node, Threshold, Tree, Weight};
use emberlite::ops::tree_ensemble::{Aggregate, Ensemble, Finish, PostTransform, TreeEnsemble};

/// What the attributes of a node say, with numbers as precise as they are there.
#[derive(Clone, Debug)]
pub(super) enum Definition {
    Single(Parts<f32>),
    Double(Parts<f64>),
}

/// What an ensemble is built from.
#[derive(Clone, Debug)]
pub(super) struct Parts<T> {
    trees: Vec<Tree<T>>,
    features: usize,
    targets: usize,
    finish: Finish,
    aggregate: Aggregate,
    post_transform: PostTransform,
    base_values: Vec<T>,
}

impl Definition {
    /// Reads the attributes of `node`. `leaf` is what those of the weights begin with.
    pub(super) fn parse(
        context: &ParsingContext<'_>,
        node: &NodeProto,
        leaf: &str,
        targets: usize,
        finish: Finish,
    ) -> TractResult<Definition> {
        let is_double = node.get_attr_opt::<&TensorProto>("nodes_values_as_tensor")?.is_some();
        Ok(match is_double {
            true => Definition::Double(Parts::parse(context, node, leaf, targets, finish)?),
            false => Definition::Single(Parts::parse(context, node, leaf, targets, finish)?),
        })
    }

    /// The operator for rows of type `input`: `f64` rows are compared as they are, whatever the thresholds.
    pub(super) fn build(&self, input: DatumType) -> TractResult<TreeEnsemble> {
        Ok(match self {
            Definition::Double(parts) => TreeEnsemble::Double(Arc::new(parts.build()?)),
            Definition::Single(parts) if input == DatumType::F64 => {
                TreeEnsemble::Double(Arc::new(parts.widen().build()?))
            }
            Definition::Single(parts) => TreeEnsemble::Single(Arc::new(parts.build()?)),
        })
    }
}

impl Parts<f32> {
    fn widen(&self) -> Parts<f64> {
        let weight = |weight: &Weight<f32>| Weight { target: weight.target, weight: f64::from(weight.weight) };
        let node = |node: &Node<f32>| match node {
            Node::Leaf(weights) => Node::Leaf(weights.iter().map(weight).collect()),
            Node::Branch(branch) => Node::Branch(Branch {
                threshold: f64::from(branch.threshold),
                feature: branch.feature,
                comparison: branch.comparison,
                missing_holds: branch.missing_holds,
                holds: branch.holds,
                fails: branch.fails,
            }),
        };
        Parts {
            trees: self.trees.iter().map(|tree| Tree { nodes: tree.nodes.iter().map(node).collect() }).collect(),
            base_values: self.base_values.iter().copied().map(f64::from).collect(),
            features: self.features,
            targets: self.targets,
            finish: self.finish,
            aggregate: self.aggregate,
            post_transform: self.post_transform,
        }
    }
}

impl<T: Threshold> Parts<T> {
    fn parse(
        context: &ParsingContext<'_>,
        node: &NodeProto,
        leaf: &str,
        targets: usize,
        finish: Finish,
    ) -> TractResult<Parts<T>> {
        let nodes = Nodes::<T>::parse(context, node)?;
        let weights = Weights::<T>::parse(context, node, leaf)?;
        let aggregate = match node.get_attr_opt("aggregate_function")?.unwrap_or("SUM") {
            "SUM" => Aggregate::Sum,
            "AVERAGE" => Aggregate::Average,
            "MIN" => Aggregate::Min,
            "MAX" => Aggregate::Max,
            other => return node.bail_attr("aggregate_function", &format!("unknown function `{other}`")),
        };
        let post_transform = match node.get_attr_opt("post_transform")?.unwrap_or("NONE") {
            "NONE" => PostTransform::None,
            "LOGISTIC" => PostTransform::Logistic,
            "SOFTMAX" => PostTransform::Softmax,
            "SOFTMAX_ZERO" => PostTransform::SoftmaxZero,
            "PROBIT" => PostTransform::Probit,
            other => return node.bail_attr("post_transform", &format!("unknown function `{other}`")),
        };
        Ok(Parts {
            features: nodes.features.iter().max().map_or(1, |&greatest| greatest + 1),
            trees: trees(&nodes, &weights)?,
            targets,
            finish,
            aggregate,
            post_transform,
            base_values: values(context, node, "base_values")?,
        })
    }

    fn build(&self) -> TractResult<Ensemble<T>> {
        let forest = Forest::build(&self.trees, self.features, self.targets)?;
        Ensemble::new(forest, self.finish, self.aggregate, self.post_transform, self.base_values.clone())
    }
}

/// What the attributes say of every node, in their order.
struct Nodes<T> {
    trees: Vec<usize>,
    ids: Vec<usize>,
    features: Vec<usize>,
    thresholds: Vec<T>,
    modes: Vec<Option<Comparison>>,
    holds: Vec<usize>,
    fails: Vec<usize>,
    missing_holds: Vec<bool>,
}

impl<T: Threshold> Nodes<T> {
    fn parse(context: &ParsingContext<'_>, node: &NodeProto) -> TractResult<Nodes<T>> {
        let modes: Vec<String> = node.get_attr_vec("nodes_modes")?;
        let count = modes.len();
        let nodes = Nodes {
            trees: node.get_attr_vec("nodes_treeids")?,
            ids: node.get_attr_vec("nodes_nodeids")?,
            features: node.get_attr_vec("nodes_featureids")?,
            thresholds: values(context, node, "nodes_values")?,
            modes: modes.iter().map(|mode| comparison(mode)).collect::<TractResult<_>>()?,
            holds: node.get_attr_vec("nodes_truenodeids")?,
            fails: node.get_attr_vec("nodes_falsenodeids")?,
            missing_holds: match node.get_attr_opt_vec("nodes_missing_value_tracks_true")? {
                Some(missing) => missing,
                None => vec![false; count],
            },
        };
        let lengths = [
            ("nodes_treeids", nodes.trees.len()),
            ("nodes_nodeids", nodes.ids.len()),
            ("nodes_featureids", nodes.features.len()),
            ("nodes_values", nodes.thresholds.len()),
            ("nodes_truenodeids", nodes.holds.len()),
            ("nodes_falsenodeids", nodes.fails.len()),
            ("nodes_missing_value_tracks_true", nodes.missing_holds.len()),
        ];
        for (attribute, length) in lengths {
            node.expect_attr(attribute, length == count, || format!("{count} values, got {length}"))?;
        }
        Ok(nodes)
    }
}

fn comparison(mode: &str) -> TractResult<Option<Comparison>> {
    Ok(Some(match mode {
        "LEAF" => return Ok(None),
        "BRANCH_LEQ" => Comparison::AtMost,
        "BRANCH_LT" => Comparison::Less,
        "BRANCH_GTE" => Comparison::AtLeast,
        "BRANCH_GT" => Comparison::Greater,
        "BRANCH_EQ" => Comparison::Equal,
        "BRANCH_NEQ" => Comparison::NotEqual,
        other => bail!("unknown mode `{other}` of a tree's node"),
    }))
}

/// By tree and node: what the leaf adds.
struct Weights<T>(HashMap<(usize, usize), Vec<Weight<T>>>);

impl<T: Threshold> Weights<T> {
    fn parse(context: &ParsingContext<'_>, node: &NodeProto, leaf: &str) -> TractResult<Weights<T>> {
        let list = |attribute: &str| -> TractResult<Vec<usize>> { node.get_attr_vec(&format!("{leaf}_{attribute}")) };
        let (trees, ids, targets) = (list("treeids")?, list("nodeids")?, list("ids")?);
        let weights: Vec<T> = values(context, node, &format!("{leaf}_weights"))?;
        let alike = [trees.len(), ids.len(), targets.len()].iter().all(|&length| length == weights.len());
        node.expect(alike, "as many trees, nodes and targets as weights")?;
        let mut by_leaf: HashMap<_, Vec<_>> = HashMap::new();
        for (((tree, id), target), weight) in trees.into_iter().zip(ids).zip(targets).zip(weights) {
            by_leaf.entry((tree, id)).or_default().push(Weight { target, weight });
        }
        Ok(Weights(by_leaf))
    }
}

/// The numbers of the attribute `name`, or of `name` with `_as_tensor`, as double precision has it.
fn values<T: Threshold>(context: &ParsingContext<'_>, node: &NodeProto, name: &str) -> TractResult<Vec<T>> {
    if let Some(tensor) = node.get_attr_opt::<&TensorProto>(&format!("{name}_as_tensor"))? {
        let tensor = context.load_tensor(tensor)?;
        let tensor = tensor.cast_to::<T>()?;
        return Ok(tensor.try_as_plain_ram()?.as_slice::<T>()?.to_vec());
    }
    let floats: Vec<f32> = node.get_attr_opt_vec(name)?.unwrap_or_default();
    Ok(floats.into_iter().map(T::from_f32).collect())
}

/// The trees in the order in which the attributes begin them; the first node of each is its root.
fn trees<T: Threshold>(nodes: &Nodes<T>, weights: &Weights<T>) -> TractResult<Vec<Tree<T>>> {
    let mut order: Vec<usize> = Vec::new();
    let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
    for (at, &tree) in nodes.trees.iter().enumerate() {
        members.entry(tree).or_insert_with(|| {
            order.push(tree);
            Vec::new()
        });
        members.entry(tree).or_default().push(at);
    }
    order.iter().map(|tree| build(nodes, weights, &members[tree]).with_context(|| format!("tree {tree}"))).collect()
}

fn build<T: Threshold>(nodes: &Nodes<T>, weights: &Weights<T>, members: &[usize]) -> TractResult<Tree<T>> {
    let mut places: HashMap<usize, usize> = HashMap::new();
    for (place, &at) in members.iter().enumerate() {
        ensure!(places.insert(nodes.ids[at], place).is_none(), "there are two nodes {}", nodes.ids[at]);
    }
    let place = |id: usize| places.get(&id).copied().with_context(|| format!("there is no node {id}"));
    let node = |&at: &usize| -> TractResult<Node<T>> {
        let Some(comparison) = nodes.modes[at] else {
            return Ok(Node::Leaf(weights.0.get(&(nodes.trees[at], nodes.ids[at])).cloned().unwrap_or_default()));
        };
        Ok(Node::Branch(Branch {
            feature: nodes.features[at],
            comparison,
            threshold: nodes.thresholds[at],
            missing_holds: nodes.missing_holds[at],
            holds: place(nodes.holds[at])?,
            fails: place(nodes.fails[at])?,
        }))
    };
    Ok(Tree { nodes: members.iter().map(node).collect::<TractResult<_>>()? })
}
