//! Which operators of a file have no counterpart, all at once.

use tract_onnx::Onnx;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

use crate::import::MissingOperator;

/// Every node of the model, those of subgraphs included, whose operator `framework` does not know.
pub(super) fn operators(framework: &Onnx, proto: &ModelProto) -> Vec<MissingOperator> {
    let mut missing = Vec::new();
    if let Some(graph) = &proto.graph {
        visit(graph, &mut |node| {
            if !framework.op_register.0.contains_key(&node.op_type) || is_function(proto, node) || is_namesake(node) {
                missing.push(MissingOperator { operator: qualified(node), node: node_name(node) });
            }
        });
    }
    missing
}

fn visit(graph: &GraphProto, each: &mut impl FnMut(&NodeProto)) {
    for node in &graph.node {
        each(node);
        for attribute in &node.attribute {
            attribute.g.iter().chain(&attribute.graphs).for_each(|inner| visit(inner, each));
        }
    }
}

/// onnxruntime has an `Attention` of its own, older than the standard's, with other inputs.
fn is_namesake(node: &NodeProto) -> bool {
    node.domain == "com.microsoft" && node.op_type == "Attention"
}

fn is_function(proto: &ModelProto, node: &NodeProto) -> bool {
    proto.functions.iter().any(|function| {
        function.name.as_deref() == Some(&node.op_type) && function.domain.as_deref().unwrap_or("") == node.domain
    })
}

fn qualified(node: &NodeProto) -> String {
    match node.domain.as_str() {
        "" | "ai.onnx" | "ai.onnx.ml" => node.op_type.clone(),
        domain => format!("{domain}.{}", node.op_type),
    }
}

fn node_name(node: &NodeProto) -> String {
    let name = if node.name.is_empty() { node.output.first() } else { Some(&node.name) };
    name.cloned().unwrap_or_default()
}
