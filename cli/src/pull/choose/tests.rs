use serde_json::json;

use super::*;
use crate::pull::digest::Digest;

fn repository(paths: &[&str]) -> Vec<Remote> {
    let remote = |path: &&str| Remote { path: FilePath::new(path).unwrap(), size: 1000, digest: Digest::Git([0; 20]) };
    paths.iter().map(remote).collect()
}

fn chosen(paths: &[&str], include: &[&str], contents: &[(&str, Value)]) -> Result<(Vec<String>, Option<String>)> {
    let include: Vec<_> = include.iter().map(|pattern| (*pattern).to_owned()).collect();
    let read = |file: &Remote| {
        let content = contents.iter().find(|(path, _)| *path == file.path.as_str()).context("not to be read")?;
        Ok(serde_json::to_vec(&content.1)?)
    };
    let choice = choose(&repository(paths), &include, read)?;
    assert_eq!(choice.files.len() + choice.left_out.len(), paths.len());
    let names = choice.files.iter().map(|file| file.path.to_string()).collect();
    Ok((names, choice.model.map(|path| path.to_string())))
}

fn refused(paths: &[&str], include: &[&str]) -> String {
    format!("{:#}", chosen(paths, include, &[]).unwrap_err())
}

#[test]
fn an_encoder_is_its_settings_its_modules_and_one_set_of_weights() {
    let paths = [
        ".gitattributes",
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
        "README.md",
        "config.json",
        "model.safetensors",
        "modules.json",
        "onnx/model.onnx",
        "other/config.json",
        "pytorch_model.bin",
        "tf_model.h5",
        "tokenizer.json",
        "train_script.py",
    ];
    let modules = json!([{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Dense/"}]);
    let (files, model) = chosen(&paths, &[], &[("modules.json", modules)]).unwrap();
    let expected = [
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
        "config.json",
        "model.safetensors",
        "modules.json",
        "tokenizer.json",
    ];
    assert_eq!((files, model), (expected.map(str::to_owned).to_vec(), None));
}

#[test]
fn shards_are_those_that_the_index_names() {
    let paths = [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "old-00001.safetensors",
        "model.safetensors.index.json",
    ];
    let index = json!({"weight_map": {
        "a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors",
        "c": "model-00001-of-00002.safetensors",
    }});
    let (files, _) = chosen(&paths, &[], &[("model.safetensors.index.json", index)]).unwrap();
    assert_eq!(files, [&paths[..3], &paths[4..]].concat());
    let lacking = json!({"weight_map": {"a": "nosuch.safetensors"}});
    let error = chosen(&paths, &[], &[("model.safetensors.index.json", lacking)]).unwrap_err();
    assert!(error.to_string().contains("nosuch.safetensors"), "{error}");
}

#[test]
fn without_safetensors_an_onnx_file_or_the_only_gguf_file_is_taken() {
    let onnx = ["config.json", "onnx/model.onnx", "onnx/model.onnx_data", "onnx/model_fp16.onnx", "tokenizer.json"];
    let (files, model) = chosen(&onnx, &[], &[]).unwrap();
    assert_eq!(files, ["config.json", "onnx/model.onnx", "onnx/model.onnx_data", "tokenizer.json"]);
    assert_eq!(model.as_deref(), Some("onnx/model.onnx"));
    let (files, model) = chosen(&["README.md", "tiny-q4.gguf"], &[], &[]).unwrap();
    assert_eq!((files, model.as_deref()), (vec!["tiny-q4.gguf".to_owned()], Some("tiny-q4.gguf")));
}

#[test]
fn a_pattern_takes_the_place_of_the_usual_weights() {
    let paths = ["config.json", "model.safetensors", "m.Q4_0.gguf", "m.Q8_0.gguf"];
    let (files, model) = chosen(&paths, &["*Q4*"], &[]).unwrap();
    assert_eq!(files, ["config.json", "m.Q4_0.gguf"]);
    assert_eq!(model.as_deref(), Some("m.Q4_0.gguf"));
    assert!(refused(&paths, &["*.onnx"]).contains("m.Q8_0.gguf (1.00 kB)"));
}

#[test]
fn where_nothing_can_be_taken_the_next_step_is_told() {
    let several = refused(&["a-q4.gguf", "a-q8.gguf"], &[]);
    assert!(several.contains("--include") && several.contains("a-q8.gguf (1.00 kB)"), "{several}");
    let pickled = refused(&["config.json", "pytorch_model.bin"], &[]);
    assert!(pickled.contains("save_pretrained"), "{pickled}");
    assert!(refused(&["README.md", "data.csv"], &[]).contains("no model"));
    assert!(refused(&["config.json", "tf_model.h5"], &[]).contains("tf_model.h5"));
}

#[test]
fn modules_that_can_not_be_read_are_named() {
    let error = chosen(&["modules.json"], &[], &[("modules.json", json!({"path": 1}))]).unwrap_err();
    assert!(error.to_string().contains("modules.json"));
}
