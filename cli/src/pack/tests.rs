//! What packing promises of models that are packed as ones of tensors.

use std::path::Path;

use emberlite::model::{Model, Package, Task};
use emberlite::task::{self, Payload};
use serde_json::json;

use super::*;

fn packed(file: &str) -> Result<Packed> {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/encoders/onnx").join(file);
    pack(&Request { recipe: Recipe { model, ..Recipe::default() }, ..Request::default() })
}

#[test]
fn encoders_without_a_tokenizer_are_packed_as_models_of_ids() {
    for file in [
        "bert_legacy_14.onnx",
        "bert_dynamo_18.onnx",
        "distilbert_optimum.onnx",
        "roberta_legacy_14.onnx",
        "albert_optimum.onnx",
        "deberta_v2_legacy_14.onnx",
        "modernbert_dynamo_18.onnx",
        "t5_encoder_legacy_14.onnx",
        "clip_text_legacy_14.onnx",
    ] {
        let packed = packed(file).unwrap_or_else(|error| panic!("{file}: {error:#}"));
        assert_eq!(packed.manifest.task, Task::Predict, "{file}");
        assert!(packed.manifest.verification.inputs > 0, "{file}");
    }
}

#[test]
fn an_id_without_a_row_is_refused_by_name() {
    let packed = packed("bert_legacy_14.onnx").unwrap();
    let model = Model::load(&Package::open(packed.bytes.into()).unwrap()).unwrap();
    let ask = |id: i64, segment: i64| {
        let input = json!({"input_ids": [[1, id]], "attention_mask": [[1, 1]], "token_type_ids": [[0, segment]]});
        task::predict(&model, &Payload::Json(input)).map(|answer| answer.predictions.len())
    };
    assert_eq!(ask(2, 1).unwrap(), 1);
    let refusal = ask(40_000, 0).unwrap_err().to_string();
    assert!(refusal.starts_with("input \"input_ids\" has the id 40000, which has no row: its table has "), "{refusal}");
    let refusal = ask(2, 2).unwrap_err().to_string();
    assert_eq!(refusal, "input \"token_type_ids\" has the id 2, which has no row: its table has 2 rows");
}

#[cfg(unix)]
#[test]
fn a_package_may_be_read_by_whoever_may_read_other_files() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let mode = |name: &str| folder.path().join(name).metadata().unwrap().permissions().mode();
    std::fs::write(folder.path().join("other"), b"").unwrap();
    save(&packed("distilbert_optimum.onnx").unwrap(), &folder.path().join("model.ember")).unwrap();
    assert_eq!(mode("model.ember"), mode("other"));
}
