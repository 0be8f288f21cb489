//! Our operators in the place of the pieces that exporters write: fewer steps, and weights that can be quantized.
//!
//! A rewrite looks for one operator in a graph, whatever model it is part of. Each is a tract `ModelTransform` that
//! applies one patch at a time until none fits.

mod activate;
mod attention;
mod axes;
mod cone;
mod embedding;
mod linear;
mod mask;
mod names;
mod norm;
mod probe;
mod qkv;
mod rotary;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;

use serde::Serialize;
use tract_core::internal::*;
use tract_core::transform::ModelTransform;

use view::View;

/// Where a rewrite looks.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// At one node after another: what the node becomes, if the rule fits there.
    Node(fn(View<'_>, &TypedNode) -> TractResult<Option<TypedModelPatch>>),
    /// At the whole graph: how often it fitted.
    Graph(fn(&mut TypedModel) -> TractResult<usize>),
}

/// A rule and what it makes.
#[derive(Clone, Copy, Debug)]
struct Rewrite {
    name: &'static str,
    rule: Rule,
}

/// Every rewrite, in the order in which they can follow each other.
const REWRITES: [Rewrite; 12] = [
    Rewrite { name: "embedding", rule: Rule::Node(embedding::embedding) },
    Rewrite { name: "activation", rule: Rule::Node(activate::pieces) },
    Rewrite { name: "attention", rule: Rule::Node(attention::attention) },
    Rewrite { name: "linear", rule: Rule::Node(linear::product) },
    Rewrite { name: "linear_activation", rule: Rule::Node(linear::activation) },
    Rewrite { name: "linear_residual", rule: Rule::Node(linear::residual) },
    Rewrite { name: "norm", rule: Rule::Node(norm::norm) },
    Rewrite { name: "rotary", rule: Rule::Node(rotary::rotary) },
    Rewrite { name: "qkv", rule: Rule::Node(qkv::layers) },
    Rewrite { name: "qkv_slices", rule: Rule::Node(qkv::slices) },
    Rewrite { name: "gate", rule: Rule::Node(activate::gated) },
    Rewrite { name: "mask", rule: Rule::Graph(mask::masks) },
];

/// The rewrites that fit any graph: they look at nothing but a layer and what is next to it.
const LAYERS: [Rewrite; 5] = [
    Rewrite { name: "activation", rule: Rule::Node(activate::pieces) },
    Rewrite { name: "linear", rule: Rule::Node(linear::product_in_place) },
    Rewrite { name: "linear_activation", rule: Rule::Node(linear::activation) },
    Rewrite { name: "linear_residual", rule: Rule::Node(linear::residual) },
    Rewrite { name: "norm", rule: Rule::Node(norm::norm) },
];

impl Rewrite {
    /// Applies the rule until it fits nowhere; gives how often it did.
    fn apply(self, model: &mut TypedModel) -> TractResult<usize> {
        let rule = match self.rule {
            Rule::Node(rule) => rule,
            Rule::Graph(rule) => return rule(model),
        };
        let mut applied = 0;
        let mut id = 0;
        while id < model.nodes.len() {
            match rule(View(model), &model.nodes[id]) {
                Ok(Some(patch)) => {
                    patch.apply(model).with_context(|| format!("rewriting to {}", self.name))?;
                    applied += 1;
                }
                Ok(None) => {}
                Err(reason) => {
                    tracing::debug!(rewrite = self.name, node = %model.nodes[id].name, %reason, "left as it was");
                }
            }
            id += 1;
        }
        Ok(applied)
    }
}

impl ModelTransform for Rewrite {
    fn name(&self) -> StaticName {
        self.name.into()
    }

    fn transform(&self, model: &mut TypedModel) -> TractResult<()> {
        self.apply(model).map(|_| ())
    }
}

/// How often each rewrite was applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FuseReport {
    /// By rewrite: `linear`, `attention`, ...
    pub rewrites: BTreeMap<&'static str, usize>,
}

impl FuseReport {
    /// Whether the graph is as it was.
    pub fn is_unchanged(&self) -> bool {
        self.rewrites.is_empty()
    }
}

/// Rewrites a decluttered graph in place. A graph that nothing fits stays as it is; outputs keep their names and order.
///
/// # Errors
/// A patch that tract refuses, after which the graph is of no use.
pub fn fuse(model: &mut TypedModel) -> TractResult<FuseReport> {
    apply(&REWRITES, model)
}

/// As [`fuse`], but only linear layers and norms, with what belongs to them: what a model of tensors has.
///
/// # Errors
/// As [`fuse`].
pub fn fuse_layers(model: &mut TypedModel) -> TractResult<FuseReport> {
    apply(&LAYERS, model)
}

fn apply(rewrites: &[Rewrite], model: &mut TypedModel) -> TractResult<FuseReport> {
    let mut report = FuseReport::default();
    for rewrite in rewrites {
        let applied = rewrite.apply(model)?;
        if applied > 0 {
            report.rewrites.insert(rewrite.name, applied);
        }
    }
    if !report.is_unchanged() {
        model.compact()?;
    }
    Ok(report)
}
