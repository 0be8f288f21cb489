use emberlite::model::Manifest;
use serde_json::json;

use super::*;

fn manifest(task: &str, more: &serde_json::Value) -> Manifest {
    let digest = Digest::of(b"").to_string();
    let mut manifest = json!({
        "format": 1, "name": "m", "task": task, "outputs": [], "sections": {},
        "inputs": [{"name": "x", "dtype": "FP32", "shape": ["N", 3]}],
        "source": {"file": "m.onnx", "format": "onnx", "digest": digest},
        "verification": {"batch_sizes": [], "inputs": 0, "max_abs_difference": 0.0},
    });
    for (name, value) in more.as_object().unwrap() {
        manifest[name] = value.clone();
    }
    serde_json::from_value(manifest).unwrap()
}

#[test]
fn lengths_beyond_the_model_are_not_among_the_usual_ones() {
    let text = |max_tokens: usize| json!({"text": {"max_tokens": max_tokens, "ids": "x"}});
    let lengths = |max_tokens| {
        let cells = plan(&Request::default(), &manifest("embed", &text(max_tokens))).unwrap();
        cells.into_iter().filter(|(_, batch, _)| *batch == 8).map(|(_, _, length)| length.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(lengths(512), [16, 128, 512]);
    assert_eq!(lengths(256), [16, 128]);
    assert_eq!(lengths(9), [9]);
}

#[test]
fn given_batches_are_measured_in_order_and_once() {
    let request = Request { batches: vec![8, 2, 8], ..Request::default() };
    let cells = plan(&request, &manifest("predict", &json!({}))).unwrap();
    assert_eq!(cells, [(What::Run, 2, None), (What::Run, 8, None)]);
}

#[test]
fn a_model_that_takes_one_row_is_measured_with_one() {
    let single = manifest("predict", &json!({"inputs": [{"name": "x", "dtype": "FP32", "shape": [1, 3]}]}));
    assert_eq!(plan(&Request::default(), &single).unwrap(), [(What::Run, 1, None)]);
}

#[test]
fn a_length_without_texts_is_refused_with_what_to_do() {
    let request = Request { lengths: vec![16], ..Request::default() };
    let refused = plan(&request, &manifest("predict", &json!({}))).unwrap_err().to_string();
    assert!(refused.contains("leave --length out"), "{refused}");
}

#[test]
fn a_language_model_reads_prompts_alone_and_writes_texts_together() {
    let spec = json!({"generate": {"context_tokens": 64, "vocabulary": 10}});
    let request = Request { batches: vec![1, 4], ..Request::default() };
    let cells = plan(&request, &manifest("generate", &spec)).unwrap();
    let length = Some(16);
    assert_eq!(cells, [(What::Prefill, 1, length), (What::Decode, 1, length), (What::Decode, 4, length)]);
}

#[test]
fn seconds_are_read_within_bounds() {
    assert_eq!(parse_seconds("0.5"), Ok(Duration::from_millis(500)));
    for wrong in ["0", "-1", "nan", "1e9", "soon"] {
        assert!(parse_seconds(wrong).is_err(), "{wrong}");
    }
}
