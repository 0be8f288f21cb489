//! What the axes of a graph's inputs are called: the batch `N`, the sequence of a text encoder `S`.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value;
use tract_onnx::pb::type_proto::{Tensor, Value as TypeValue};
use tract_onnx::pb::{GraphProto, ValueInfoProto};

/// Names the open first axis of every input alike, and the open second one of every text input; spells the other names
/// so that tract-OPL can read them. Gives the batch's name.
///
/// A text input holds integers by batch and sequence. Where a graph's text inputs name that axis differently (as an
/// encoder and its decoder do), the first one's name is the sequence and the others stay what they are.
pub(super) fn name_axes(graph: &mut GraphProto) -> Option<String> {
    let constants: HashSet<String> = graph.initializer.iter().map(|tensor| tensor.name.clone()).collect();
    let tensors = tensor_names(graph);
    let free = |stem: &str| {
        let candidates = std::iter::once(stem.to_owned()).chain((1..).map(|n| format!("{stem}_{n}")));
        candidates.into_iter().find(|name| !tensors.contains(name)).unwrap_or_default()
    };
    let (batch, sequence) = (free("N"), free("S"));
    let mut names: HashMap<String, String> = HashMap::new();
    let mut inputs: Vec<&mut Tensor> =
        graph.input.iter_mut().filter(|input| !constants.contains(&input.name)).filter_map(tensor_mut).collect();
    let mut batched = false;
    for dim in inputs.iter_mut().filter_map(|input| input.shape.as_mut()?.dim.first_mut()) {
        if is_fixed(dim) {
            continue;
        }
        if let Some(Value::DimParam(name)) = &dim.value {
            names.insert(name.clone(), batch.clone());
        }
        dim.value = Some(Value::DimParam(batch.clone()));
        batched = true;
    }
    let mut sequence_name: Option<String> = None;
    for dim in inputs.iter_mut().filter_map(|input| text_axis_mut(input)) {
        match &dim.value {
            Some(Value::DimParam(name)) if is_symbol(name) => {
                if sequence_name.get_or_insert_with(|| name.clone()) == name {
                    names.insert(name.clone(), sequence.clone());
                }
            }
            _ => dim.value = Some(Value::DimParam(sequence.clone())),
        }
    }
    for dim in inputs.iter_mut().filter_map(|input| input.shape.as_mut()).flat_map(|shape| shape.dim.iter_mut().skip(1))
    {
        match &mut dim.value {
            Some(Value::DimParam(name)) if is_symbol(name) => {
                *name = names.entry(name.clone()).or_insert_with(|| free(&spelled(name))).clone();
            }
            Some(Value::DimValue(size)) if *size > 0 => {}
            _ => dim.value = None,
        }
    }
    batched.then_some(batch)
}

fn tensor_names(graph: &GraphProto) -> HashSet<String> {
    let made = graph.node.iter().flat_map(|node| node.output.iter().chain(std::iter::once(&node.name)));
    let given = graph.input.iter().map(|input| &input.name);
    made.chain(given).chain(graph.initializer.iter().map(|tensor| &tensor.name)).cloned().collect()
}

fn tensor_mut(input: &mut ValueInfoProto) -> Option<&mut Tensor> {
    match input.r#type.as_mut()?.value.as_mut()? {
        TypeValue::TensorType(tensor) => Some(tensor),
    }
}

/// The second axis of an input of integers with two axes, unless its size is fixed.
fn text_axis_mut(input: &mut Tensor) -> Option<&mut Dimension> {
    if ![DataType::Int64 as i32, DataType::Int32 as i32].contains(&input.elem_type) {
        return None;
    }
    match input.shape.as_mut()?.dim.as_mut_slice() {
        [_, axis] if !is_fixed(axis) => Some(axis),
        _ => None,
    }
}

fn is_fixed(dim: &Dimension) -> bool {
    matches!(dim.value, Some(Value::DimValue(size)) if size > 0)
}

/// Whether an axis is named, rather than marked as unknown or computed from other axes.
fn is_symbol(name: &str) -> bool {
    !name.is_empty() && name != "?" && !name.contains(['+', '-', '*', '/', '('])
}

fn spelled(name: &str) -> String {
    let spelled: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if spelled.starts_with(|c: char| c.is_ascii_alphabetic()) { spelled } else { format!("S_{spelled}") }
}
