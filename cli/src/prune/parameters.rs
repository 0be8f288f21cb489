//! How many numbers a model has learnt.

use emberlite::ops::tree_ensemble::forest::Threshold;
use emberlite::ops::tree_ensemble::{Ensemble, TreeEnsemble};
use emberlite::ops::{Embedding, Linear};
use tract_core::ops::konst::Const;
use tract_core::prelude::{TypedModel, TypedNode};

/// The weights of every layer that are not zero with its bias, the elements of every table and constant, and the thresholds
/// and weights of trees. An embedding that is tied to a layer has none of its own.
pub fn parameters(model: &TypedModel) -> usize {
    model.nodes().iter().map(of_node).sum()
}

fn of_node(node: &TypedNode) -> usize {
    if let Some(linear) = node.op_as::<Linear>() {
        return linear.dense().iter().filter(|weight| **weight != 0.0).count() + linear.outputs();
    }
    if let Some(trees) = node.op_as::<TreeEnsemble>() {
        let (branches, weights) = match trees {
            TreeEnsemble::Single(ensemble) => size(ensemble),
            TreeEnsemble::Double(ensemble) => size(ensemble),
        };
        return branches + weights;
    }
    if let Some(embedding) = node.op_as::<Embedding>() {
        let own = embedding.tables().iter().filter(|(table, _)| !table.is_tied());
        return own.map(|(table, _)| table.rows() * table.width()).sum();
    }
    node.op_as::<Const>().map_or(0, |constant| constant.val().len())
}

fn size<T: Threshold>(ensemble: &Ensemble<T>) -> (usize, usize) {
    let flat = ensemble.forest().to_flat();
    (flat.nodes.iter().filter(|node| !node.is_leaf()).count(), flat.weights.len())
}
