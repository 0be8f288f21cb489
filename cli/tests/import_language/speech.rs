//! What a folder says beside its weights: chat templates, special tokens, sampling.

use std::fs;
use std::path::Path;

use emberlite::model::GenerateSpec;
use emberlite::tokenizer::{Limit, Overlong, Text, Tokenizer};
use emberlite_cli::import::import;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::reference::{Reference, path};

/// A copy of a committed folder.
pub(crate) fn copy(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(path("folders").join(name)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

/// Changes a JSON file of a folder.
pub(crate) fn edit(folder: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let file = folder.join(file);
    let mut value: Value = fs::read(&file).map_or_else(|_| json!({}), |bytes| serde_json::from_slice(&bytes).unwrap());
    change(&mut value);
    fs::write(&file, serde_json::to_vec(&value).unwrap()).unwrap();
}

fn spec(folder: &Path) -> GenerateSpec {
    import(folder).unwrap().generate.unwrap()
}

#[test]
fn a_chat_template_special_tokens_and_sampling_are_found() {
    let reference = Reference::folder("llama");
    let spec = reference.spec();
    assert!(spec.chat_template.as_ref().unwrap().starts_with("{{ bos_token }}{% for message in messages %}"));
    assert_eq!(spec.special["bos_token"], "<s>");
    assert_eq!(spec.special["eos_token"], "</s>");
    let sampling = spec.sampling;
    assert_eq!((sampling.temperature, sampling.top_p, sampling.top_k), (Some(0.6), Some(0.9), Some(20)));
    assert_eq!((sampling.min_p, sampling.repetition_penalty), (None, None));
}

#[test]
fn a_chat_template_may_be_in_either_place_and_one_of_several() {
    let folder = copy("qwen2");
    assert_eq!(spec(folder.path()).chat_template, None);
    edit(folder.path(), "tokenizer_config.json", |config| config["chat_template"] = "whole".into());
    assert_eq!(spec(folder.path()).chat_template.as_deref(), Some("whole"));
    let several = json!([{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "usual"}]);
    edit(folder.path(), "tokenizer_config.json", |config| config["chat_template"] = several);
    assert_eq!(spec(folder.path()).chat_template.as_deref(), Some("usual"));
    fs::write(folder.path().join("chat_template.jinja"), "file").unwrap();
    assert_eq!(spec(folder.path()).chat_template.as_deref(), Some("file"));
}

#[test]
fn tokens_that_end_a_text_are_those_of_the_generation_config_and_the_tokenizer() {
    let folder = copy("qwen2");
    assert_eq!(spec(folder.path()).end_tokens, [2]);
    edit(folder.path(), "generation_config.json", |config| config["eos_token_id"] = json!(4));
    assert_eq!(spec(folder.path()).end_tokens, [2, 4]);
    edit(folder.path(), "generation_config.json", |config| config["eos_token_id"] = json!([3, 4]));
    edit(folder.path(), "tokenizer_config.json", |config| config["eos_token"] = json!({"content": "<|im_end|>"}));
    assert_eq!(spec(folder.path()).end_tokens, [3, 4]);
}

#[test]
fn a_token_goes_first_where_the_settings_say_so_and_the_tokenizer_does_not() {
    let folder = copy("qwen2");
    assert_eq!(spec(folder.path()).begin_token, None);
    edit(folder.path(), "tokenizer_config.json", |config| config["add_bos_token"] = true.into());
    let imported = import(folder.path()).unwrap();
    assert_eq!(imported.generate.unwrap().begin_token, Some(1));
    let tokenizer = Tokenizer::from_json(&imported.tokenizer.unwrap()).unwrap();
    let limit = Limit { max_tokens: 9, overlong: Overlong::Refuse };
    let tokens = tokenizer.encode(&Text::One("Once".to_owned()), "", limit).unwrap();
    assert_eq!(tokens.ids[0], 1);
}

#[test]
fn a_tokenizer_with_more_ids_than_the_model_is_told() {
    let folder = copy("qwen2");
    edit(folder.path(), "tokenizer.json", |tokenizer| {
        let token = json!({"id": 160, "content": "<image>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true});
        tokenizer["added_tokens"].as_array_mut().unwrap().push(token);
    });
    let warnings = import(folder.path()).unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("ids up to 160")), "{warnings:?}");
}
