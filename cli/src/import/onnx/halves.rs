//! Files of 16 bit floats: read as such, computed with 32 bits.

use half::f16;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto};

use super::nodes::{each_graph_mut, node, to_float, with_integer};

const HALF: i32 = DataType::Float16 as i32;
const FLOAT: i32 = DataType::Float as i32;

/// Makes 32 bit floats of all 16 bit ones: constants, casts and what is computed. Tells whether there were any.
///
/// A graph that takes 16 bit floats keeps its inputs and outputs as they are. One that takes none, as an encoder takes
/// ids, gives 32 bit floats: rounding would only lose what was computed.
pub(super) fn widen(graph: &mut GraphProto) -> bool {
    let constants: Vec<&String> = graph.initializer.iter().map(|tensor| &tensor.name).collect();
    let halves = |values: &[ValueInfoProto]| -> Vec<String> {
        let of_halves = values.iter().filter(|value| element_type(value) == Some(HALF));
        of_halves.map(|value| value.name.clone()).filter(|name| !constants.contains(&name)).collect()
    };
    let (inputs, outputs) = (halves(&graph.input), halves(&graph.output));

    let mut found = false;
    each_graph_mut(graph, &mut |graph| found |= widen_one(graph));
    if !inputs.is_empty() {
        keep_interface(graph, &inputs, &outputs);
    }
    found
}

/// Casts the inputs of a widened graph from 16 bit floats, and its outputs to them.
fn keep_interface(graph: &mut GraphProto, inputs: &[String], outputs: &[String]) {
    let wide = |name: &str| format!("{name}.wide");
    each_graph_mut(graph, &mut |graph| {
        let names = graph.node.iter_mut().flat_map(|node| node.input.iter_mut().chain(&mut node.output));
        names.filter(|name| inputs.contains(name) || outputs.contains(name)).for_each(|name| *name = wide(name));
    });
    for value in graph.input.iter_mut().chain(&mut graph.output) {
        if inputs.contains(&value.name) || outputs.contains(&value.name) {
            set_element_type(value, HALF);
        }
    }
    graph.node.splice(0..0, inputs.iter().map(|name| to_float(name, &wide(name))));
    graph
        .node
        .extend(outputs.iter().map(|name| with_integer(node("Cast", &[&wide(name)], name), "to", i64::from(HALF))));
}

fn element_type(value: &ValueInfoProto) -> Option<i32> {
    let Value::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    Some(tensor.elem_type)
}

fn set_element_type(value: &mut ValueInfoProto, element_type: i32) {
    if let Some(Value::TensorType(tensor)) = value.r#type.as_mut().and_then(|kind| kind.value.as_mut()) {
        tensor.elem_type = element_type;
    }
}

fn widen_one(graph: &mut GraphProto) -> bool {
    let mut found = false;
    for value in graph.input.iter_mut().chain(&mut graph.output) {
        if element_type(value) == Some(HALF) {
            found = true;
            set_element_type(value, FLOAT);
        }
    }
    let mut casts = Vec::new();
    for tensor in graph.initializer.iter_mut().filter(|tensor| tensor.data_type == HALF) {
        casts.push(narrow_name(&mut tensor.name));
    }
    let cast_names: Vec<&String> = casts.iter().flat_map(|cast| &cast.output).collect();
    graph.input.retain(|input| !cast_names.contains(&&input.name));
    for node in &mut graph.node {
        match node.op_type.as_str() {
            "Constant" if node.attribute.iter().any(holds_halves) => {
                casts.extend(node.output.first_mut().map(narrow_name));
            }
            "ConstantOfShape" => {
                let values = node.attribute.iter_mut().filter(|attribute| holds_halves(attribute));
                values.filter_map(|attribute| attribute.t.as_mut()).for_each(widen_scalar);
            }
            _ => {}
        }
        let types = node.attribute.iter_mut().filter(|attribute| ["to", "dtype"].contains(&&*attribute.name));
        for attribute in types.filter(|attribute| attribute.i == i64::from(HALF)) {
            attribute.i = i64::from(FLOAT);
            found = true;
        }
    }
    found |= !casts.is_empty();
    graph.node.splice(0..0, casts);
    found
}

fn holds_halves(attribute: &AttributeProto) -> bool {
    attribute.t.as_ref().is_some_and(|tensor| tensor.data_type == HALF)
}

/// Gives a constant another name, and its own to what it is as 32 bit floats.
fn narrow_name(name: &mut String) -> NodeProto {
    let half = format!("{name}.half");
    let cast = to_float(&half, name);
    *name = half;
    cast
}

fn widen_scalar(tensor: &mut TensorProto) {
    let bits = match (tensor.raw_data.as_slice(), tensor.int32_data.as_slice()) {
        (&[low, high], _) => u16::from_le_bytes([low, high]),
        (_, &[bits]) => bits as u16,
        _ => return,
    };
    tensor.float_data = vec![f16::from_bits(bits).to_f32()];
    tensor.data_type = FLOAT;
    tensor.raw_data.clear();
    tensor.int32_data.clear();
}
