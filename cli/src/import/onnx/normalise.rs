//! The file's graph as exporters should have written it: a named batch, no `ZipMap`, no leftovers of training.

use std::collections::HashSet;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

use super::axes::name_axes;
use super::{contrib, halves, quantized};

/// What a graph tells besides its nodes.
#[derive(Debug, Default)]
pub(super) struct Normalised {
    pub(super) batch: Option<String>,
    pub(super) labels: Vec<String>,
    /// The names of the outputs, in order.
    pub(super) outputs: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// Rewrites the graph of `proto` in place.
pub(super) fn normalise(proto: &mut ModelProto) -> Normalised {
    let mut normalised = Normalised::default();
    let Some(graph) = &mut proto.graph else { return normalised };
    normalised.outputs = graph.output.iter().map(|output| output.name.clone()).collect();
    normalised.labels = labels(graph);
    let zipped = graph.node.iter_mut().filter(|node| node.op_type == "ZipMap").map(pass_through).count();
    if zipped > 1 {
        normalised.warnings.push(format!("{zipped} outputs are probabilities; the labels are those of the first"));
    }
    drop_dropout(graph);
    drop_statistics(graph);
    fill_with_floats(graph);
    if halves::widen(graph) {
        normalised.warnings.push("the file holds 16 bit floats; the graph computes with 32 bits".to_owned());
    }
    contrib::expand(graph);
    if quantized::undo(graph) > 0 {
        let warning = "the file quantizes activations as it runs; they stay floats here, and the weights are as exact as it has them";
        normalised.warnings.push(warning.to_owned());
    }
    normalised.batch = name_axes(graph);
    normalised
}

/// A `ZipMap` makes a list of maps of what is a tensor with one column per class already.
fn pass_through(node: &mut NodeProto) {
    node.op_type = "Identity".to_owned();
    node.domain.clear();
    node.attribute.clear();
    node.input.truncate(1);
    node.output.truncate(1);
}

/// `Dropout` does nothing outside training, whatever the exporter left in its inputs. One whose mask is used stays.
fn drop_dropout(graph: &mut GraphProto) {
    let used: HashSet<&String> = graph.node.iter().flat_map(|node| &node.input).collect();
    let plain: Vec<bool> = graph
        .node
        .iter()
        .map(|node| node.op_type == "Dropout" && !node.output.iter().skip(1).any(|mask| used.contains(mask)))
        .collect();
    graph.node.iter_mut().zip(plain).filter(|(_, plain)| *plain).for_each(|(node, _)| pass_through(node));
}

/// A batch normalization exported in training mode gives its statistics back, for nobody in particular.
fn drop_statistics(graph: &mut GraphProto) {
    graph.node.iter_mut().filter(|node| node.op_type == "BatchNormalization").for_each(|node| node.output.truncate(1));
}

/// `ConstantOfShape` is of 32 bit zeros unless told otherwise; tract takes 64.
fn fill_with_floats(graph: &mut GraphProto) {
    let zero = AttributeProto {
        name: "value".to_owned(),
        r#type: AttributeType::Tensor as i32,
        t: Some(TensorProto {
            dims: vec![1],
            data_type: DataType::Float as i32,
            float_data: vec![0.0],
            ..TensorProto::default()
        }),
        ..AttributeProto::default()
    };
    let untold = |node: &&mut NodeProto| node.op_type == "ConstantOfShape" && node.attribute.is_empty();
    graph.node.iter_mut().filter(untold).for_each(|node| node.attribute.push(zero.clone()));
}

/// What the file calls its classes: `ZipMap` knows best, then the classifier, then a table of class names.
fn labels(graph: &GraphProto) -> Vec<String> {
    let of = |operators: &'static [&'static str]| graph.node.iter().filter(|node| operators.contains(&&*node.op_type));
    of(&["ZipMap"])
        .chain(of(&["TreeEnsembleClassifier", "LinearClassifier", "SVMClassifier"]))
        .map(attribute_labels)
        .chain(of(&["ArrayFeatureExtractor"]).map(|node| table_labels(graph, node)))
        .find(|labels| !labels.is_empty())
        .unwrap_or_default()
}

fn attribute_labels(node: &NodeProto) -> Vec<String> {
    let labels = |attribute: &AttributeProto| -> Vec<String> {
        let strings = attribute.strings.iter().map(|label| String::from_utf8_lossy(label).into_owned());
        strings.chain(attribute.ints.iter().map(ToString::to_string)).collect()
    };
    let of_classes = |attribute: &&AttributeProto| attribute.name.starts_with("classlabels_");
    node.attribute.iter().filter(of_classes).map(labels).find(|labels| !labels.is_empty()).unwrap_or_default()
}

fn table_labels(graph: &GraphProto, node: &NodeProto) -> Vec<String> {
    let table = graph.initializer.iter().find(|tensor| node.input.first() == Some(&tensor.name));
    let strings = table.map(|table| table.string_data.as_slice()).unwrap_or_default();
    strings.iter().map(|label| String::from_utf8_lossy(label).into_owned()).collect()
}
