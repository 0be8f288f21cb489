//! The file's graph as exporters should have written it: a named batch, no `ZipMap`, no leftovers of training.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_shape_proto::dimension::Value;
use tract_onnx::pb::type_proto::Value as TypeValue;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorShapeProto, ValueInfoProto};

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

/// Names the open first axis of every input alike, and spells the other names so that tract-OPL can read them.
fn name_axes(graph: &mut GraphProto) -> Option<String> {
    let constants: HashSet<String> = graph.initializer.iter().map(|tensor| tensor.name.clone()).collect();
    let tensors: HashSet<String> = tensor_names(graph);
    let free = |stem: &str| {
        let candidates = std::iter::once(stem.to_owned()).chain((1..).map(|n| format!("{stem}_{n}")));
        candidates.into_iter().find(|name| !tensors.contains(name)).unwrap_or_default()
    };
    let batch = free("N");
    let mut names: HashMap<String, String> = HashMap::new();
    let mut shapes: Vec<&mut TensorShapeProto> =
        graph.input.iter_mut().filter(|input| !constants.contains(&input.name)).filter_map(shape_mut).collect();
    let mut batched = false;
    for shape in &mut shapes {
        let Some(dim) = shape.dim.first_mut() else { continue };
        match &dim.value {
            Some(Value::DimValue(size)) if *size > 0 => continue,
            Some(Value::DimParam(name)) => drop(names.insert(name.clone(), batch.clone())),
            _ => {}
        }
        dim.value = Some(Value::DimParam(batch.clone()));
        batched = true;
    }
    for dim in shapes.iter_mut().flat_map(|shape| shape.dim.iter_mut().skip(1)) {
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

fn shape_mut(input: &mut ValueInfoProto) -> Option<&mut TensorShapeProto> {
    match input.r#type.as_mut()?.value.as_mut()? {
        TypeValue::TensorType(tensor) => tensor.shape.as_mut(),
    }
}

/// Whether an axis is named, rather than marked as unknown or computed from other axes.
fn is_symbol(name: &str) -> bool {
    !name.is_empty() && name != "?" && !name.contains(['+', '-', '*', '/', '('])
}

fn spelled(name: &str) -> String {
    let spelled: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if spelled.starts_with(|c: char| c.is_ascii_alphabetic()) { spelled } else { format!("S_{spelled}") }
}
