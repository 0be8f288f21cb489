//! Weights in a file beside the graph, as exporters write those of large models.

use std::fs;

use emberlite_cli::import::import;
use prost::Message;
use tract_onnx::pb::ModelProto;

use super::export::path;

#[test]
fn weights_beside_the_graph_are_read_from_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["bert_legacy_11.onnx", "weights.bin"] {
        fs::copy(path("onnx").join(file), folder.path().join(file)).unwrap();
    }
    let imported = import(&folder.path().join("bert_legacy_11.onnx")).unwrap();
    let names: Vec<_> = imported.source.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["bert_legacy_11.onnx", "weights.bin"]);
}

#[test]
fn a_missing_file_of_weights_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let graph = folder.path().join("model.onnx");
    fs::copy(path("onnx/bert_legacy_11.onnx"), &graph).unwrap();
    let message = import(&graph).unwrap_err().to_string();
    assert!(message.contains("weights.bin"), "{message}");
}

#[test]
fn weights_are_never_read_from_outside_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("model");
    fs::create_dir(&inner).unwrap();
    fs::copy(path("onnx/weights.bin"), folder.path().join("weights.bin")).unwrap();
    let mut proto = ModelProto::decode(&*fs::read(path("onnx/bert_legacy_11.onnx")).unwrap()).unwrap();
    let graph = proto.graph.as_mut().unwrap();
    let entries = graph.initializer.iter_mut().flat_map(|tensor| &mut tensor.external_data);
    for entry in entries.filter(|entry| entry.key == "location") {
        entry.value = "../weights.bin".to_owned();
    }
    let path = inner.join("model.onnx");
    fs::write(&path, proto.encode_to_vec()).unwrap();
    let message = import(&path).unwrap_err().to_string();
    assert!(message.contains("inside the model directory"), "{message}");
}
