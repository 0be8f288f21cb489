//! What the axes of a graph's inputs are called: the batch `N`, the sequence of a text encoder `S`.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value;
use tract_onnx::pb::type_proto::{Tensor, Value as TypeValue};
use tract_onnx::pb::{GraphProto, ValueInfoProto};

/// What the inputs of encoders are called, all of one length.
const ENCODER_INPUTS: [&str; 6] =
    ["input_ids", "attention_mask", "token_type_ids", "position_ids", "input_mask", "segment_ids"];

/// Names the open first axis of every input alike, and the open second one of every text input; spells the other names
/// so that tract-OPL can read them. Gives the batch's name.
///
/// A text input holds integers by batch and sequence. Where text inputs name that axis differently (as an encoder and
/// its decoder do), the first one's name is the sequence and the others stay what they are: unless they are those that
/// every encoder has, which exporters that are given no names call after each input.
pub(super) fn name_axes(graph: &mut GraphProto) -> Option<String> {
    let constants: HashSet<String> = graph.initializer.iter().map(|tensor| tensor.name.clone()).collect();
    let tensors = tensor_names(graph);
    let free = |stem: &str| {
        let candidates = std::iter::once(stem.to_owned()).chain((1..).map(|n| format!("{stem}_{n}")));
        candidates.into_iter().find(|name| !tensors.contains(name)).unwrap_or_default()
    };
    let (batch, sequence) = (free("N"), free("S"));
    let mut names: HashMap<String, String> = HashMap::new();
    // With a cache of earlier tokens the attention mask is longer than the tokens given.
    let cached = graph.input.iter().any(|input| input.name.starts_with("past"));
    let mut inputs: Vec<(bool, &mut Tensor)> = graph
        .input
        .iter_mut()
        .filter(|input| !constants.contains(&input.name))
        .filter_map(|input| Some((!cached && ENCODER_INPUTS.contains(&&*input.name), tensor_mut(input)?)))
        .collect();
    let mut batched = false;
    for dim in inputs.iter_mut().filter_map(|(_, input)| input.shape.as_mut()?.dim.first_mut()) {
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
    for (known, dim) in inputs.iter_mut().filter_map(|(known, input)| Some((*known, text_axis_mut(input)?))) {
        match &dim.value {
            Some(Value::DimParam(name)) if is_symbol(name) => {
                if sequence_name.get_or_insert_with(|| name.clone()) == name || known {
                    names.insert(name.clone(), sequence.clone());
                }
            }
            _ => dim.value = Some(Value::DimParam(sequence.clone())),
        }
    }
    for dim in
        inputs.iter_mut().filter_map(|(_, input)| input.shape.as_mut()).flat_map(|shape| shape.dim.iter_mut().skip(1))
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

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::pb::{TensorShapeProto, TypeProto};

    fn named(inputs: &[(&str, &str, &str)]) -> Vec<[String; 2]> {
        let dim = |name: &str| Dimension { value: Some(Value::DimParam(name.to_owned())), ..Dimension::default() };
        let input = |&(name, batch, sequence): &(&str, &str, &str)| {
            let shape = TensorShapeProto { dim: vec![dim(batch), dim(sequence)] };
            let tensor = Tensor { elem_type: DataType::Int64 as i32, shape: Some(shape) };
            let kind = TypeProto { value: Some(TypeValue::TensorType(tensor)), ..TypeProto::default() };
            ValueInfoProto { name: name.to_owned(), r#type: Some(kind), ..ValueInfoProto::default() }
        };
        let mut graph = GraphProto { input: inputs.iter().map(input).collect(), ..GraphProto::default() };
        name_axes(&mut graph);
        let axis = |dim: &Dimension| match &dim.value {
            Some(Value::DimParam(name)) => name.clone(),
            _ => String::new(),
        };
        let shapes = graph.input.iter_mut().filter_map(tensor_mut).filter_map(|tensor| tensor.shape.as_ref());
        shapes.map(|shape| [axis(&shape.dim[0]), axis(&shape.dim[1])]).collect()
    }

    #[test]
    fn an_encoders_inputs_are_of_one_length() {
        let inputs = [("input_ids", "input_ids_0", "input_ids_1"), ("attention_mask", "mask_0", "mask_1")];
        assert_eq!(named(&inputs), [["N", "S"], ["N", "S"]]);
    }

    #[test]
    fn a_decoders_length_is_another_than_its_encoders() {
        let inputs = [("input_ids", "batch", "encoder length"), ("decoder_input_ids", "batch", "decoder length")];
        assert_eq!(named(&inputs), [["N", "S"], ["N", "decoder_length"]]);
    }

    #[test]
    fn with_a_cache_the_mask_is_longer_than_the_tokens() {
        let inputs =
            [("input_ids", "b", "new"), ("attention_mask", "b", "all"), ("past_key_values.0.key", "b", "past")];
        assert_eq!(named(&inputs), [["N", "S"], ["N", "all"], ["N", "past"]]);
    }

    #[test]
    fn an_axis_without_a_name_is_the_sequence_of_a_text() {
        assert_eq!(named(&[("ids", "", "")]), [["N", "S"]]);
    }
}
