//! What is refused, and what the user is told.

use std::path::Path;

use emberlite_cli::import::{ImportError, import};
use prost::Message;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto};
use tract_onnx::tract_hir::prelude::Framework;

use crate::fixture;

fn read(name: &str) -> ModelProto {
    tract_onnx::onnx().proto_model_for_path(fixture::path(&format!("{name}.onnx"))).unwrap()
}

fn refused(name: &str, bytes: &[u8]) -> ImportError {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    import(&path).unwrap_err()
}

fn refused_after(fixture: &str, change: impl FnOnce(&mut GraphProto)) -> String {
    let mut proto = read(fixture);
    change(proto.graph.as_mut().unwrap());
    refused("changed.onnx", &proto.encode_to_vec()).to_string()
}

fn trees(graph: &mut GraphProto) -> &mut NodeProto {
    graph.node.iter_mut().find(|node| node.op_type.starts_with("TreeEnsemble")).unwrap()
}

fn attribute<'a>(node: &'a mut NodeProto, name: &str) -> &'a mut AttributeProto {
    node.attribute.iter_mut().find(|attribute| attribute.name == name).unwrap()
}

#[test]
fn missing_operators_are_all_named_at_once() {
    let message = refused_after("neural_network", |graph| {
        for (node, operator) in graph.node.iter_mut().zip(["Frobnicate", "SVMClassifier"]) {
            node.op_type = operator.to_owned();
            node.name = format!("my {operator}");
        }
        graph.node[0].domain = "com.acme".to_owned();
    });
    assert_eq!(
        message,
        "operators that are not supported: com.acme.Frobnicate (node `my Frobnicate`), SVMClassifier (node `my SVMClassifier`). \
         Export the model without the step that uses them, or in another opset"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = import(Path::new("no/such.onnx")).unwrap_err();
    assert!(matches!(error, ImportError::Unreadable { .. }));
    assert!(error.to_string().starts_with("cannot read `no/such.onnx`: "), "{error}");
}

#[test]
fn other_formats_are_named_as_not_supported_yet() {
    for (name, format) in
        [("a.tflite", "a TFLite file"), ("a.pb", "a TensorFlow graph"), ("a.safetensors", "a file of weights")]
    {
        let message = refused(name, b"").to_string();
        assert!(message.contains(format) && message.contains("not supported yet"), "{message}");
    }
    assert!(refused("model.bin", b"\0\0\0\0TFL3").to_string().contains("a TFLite file"));
}

#[test]
fn a_file_that_is_no_onnx_is_refused() {
    for bytes in [&b""[..], b"hello", b"\x08\x07", &[0xff; 100]] {
        assert!(matches!(refused("a.onnx", bytes), ImportError::NotOnnx { .. }));
    }
}

#[test]
fn a_cut_file_is_refused() {
    let bytes = read("columns").encode_to_vec();
    for length in (0..bytes.len()).step_by(97) {
        let _ = refused("a.onnx", &bytes[..length]);
    }
}

#[test]
fn an_axis_that_nothing_settles_is_named() {
    let message = refused_after("transform_softmax_1", |graph| {
        graph.node[0].op_type = "Relu".to_owned();
        graph.node[0].domain.clear();
        graph.node[0].attribute.clear();
        let shape = graph.input[0].r#type.as_mut().unwrap().value.as_mut().unwrap();
        let tract_onnx::pb::type_proto::Value::TensorType(tensor) = shape;
        tensor.shape.as_mut().unwrap().dim[1].value = None;
    });
    assert_eq!(message, "input `input` leaves axis 1 of its shape open; export it with a size or a name there");
}

#[test]
fn a_tree_with_a_child_that_is_not_there_is_refused() {
    let message = refused_after("tree_branch_leq", |graph| attribute(trees(graph), "nodes_truenodeids").ints[0] = 9999);
    assert!(message.contains("tree 0: there is no node 9999"), "{message}");
}

#[test]
fn a_tree_with_a_loop_is_refused() {
    let message = refused_after("tree_branch_leq", |graph| attribute(trees(graph), "nodes_truenodeids").ints[0] = 0);
    assert!(message.contains("tree 0"), "{message}");
}

#[test]
fn a_feature_that_the_rows_do_not_have_is_refused() {
    let message = refused_after("tree_branch_leq", |graph| attribute(trees(graph), "nodes_featureids").ints[0] = 4);
    assert!(message.contains("expected rows of at least 5 features, got 4"), "{message}");
}

#[test]
fn a_class_that_is_not_there_is_refused() {
    let message = refused_after("base_1_two_classes", |graph| attribute(trees(graph), "class_ids").ints[0] = 2);
    assert!(message.contains("counts for target 2 of 2"), "{message}");
}
