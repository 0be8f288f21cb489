//! Nodes and constants for graphs that are rewritten before tract reads them.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// A node with one output, and its name.
pub(super) fn node(op_type: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: op_type.to_owned(),
        name: output.to_owned(),
        input: inputs.iter().map(ToString::to_string).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

/// A `Cast` to 32 bit floats.
pub(super) fn to_float(input: &str, output: &str) -> NodeProto {
    with_integer(node("Cast", &[input], output), "to", i64::from(DataType::Float as i32))
}

pub(super) fn with_integer(mut node: NodeProto, name: &str, value: i64) -> NodeProto {
    let kind = AttributeType::Int as i32;
    node.attribute.push(AttributeProto { name: name.to_owned(), r#type: kind, i: value, ..AttributeProto::default() });
    node
}

pub(super) fn with_integers(mut node: NodeProto, name: &str, values: &[i64]) -> NodeProto {
    let kind = AttributeType::Ints as i32;
    let ints = values.to_vec();
    node.attribute.push(AttributeProto { name: name.to_owned(), r#type: kind, ints, ..AttributeProto::default() });
    node
}

pub(super) fn with_float(mut node: NodeProto, name: &str, value: f32) -> NodeProto {
    let kind = AttributeType::Float as i32;
    node.attribute.push(AttributeProto { name: name.to_owned(), r#type: kind, f: value, ..AttributeProto::default() });
    node
}

pub(super) fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

/// The input at `place`, unless it is left out.
pub(super) fn input(node: &NodeProto, place: usize) -> Option<&str> {
    node.input.get(place).map(String::as_str).filter(|name| !name.is_empty())
}

pub(super) fn float(name: &str, value: f32) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        data_type: DataType::Float as i32,
        float_data: vec![value],
        ..TensorProto::default()
    }
}

/// A vector, or a scalar where `vector` is false.
pub(super) fn integers(name: &str, values: &[i64], vector: bool) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: if vector { vec![values.len() as i64] } else { Vec::new() },
        data_type: DataType::Int64 as i32,
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// Calls `each` for `graph` and every graph within its nodes.
pub(super) fn each_graph_mut(graph: &mut GraphProto, each: &mut impl FnMut(&mut GraphProto)) {
    each(graph);
    for attribute in graph.node.iter_mut().flat_map(|node| &mut node.attribute) {
        attribute.g.iter_mut().chain(&mut attribute.graphs).for_each(|inner| each_graph_mut(inner, each));
    }
}
