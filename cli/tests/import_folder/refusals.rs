//! What can't be imported is refused, with what is wrong and what to do.

use std::fs;
use std::path::Path;

use emberlite_cli::import::import;
use serde_json::{Value, json};

use crate::assembled::{copy, edit, rewrite};

fn refusal(folder: &Path) -> String {
    import(folder).unwrap_err().to_string()
}

/// Why a copy of `folder` is refused whose `file` says `value` in `field`.
fn refused_with(folder: &str, file: &str, field: &str, value: Value) -> String {
    let copy = copy(folder);
    edit(copy.path(), file, |config| config[field] = value);
    refusal(copy.path())
}

#[test]
fn settings_that_change_the_arithmetic_are_refused_by_name() {
    let cases = [
        ("bert", "position_embedding_type", json!("relative_key")),
        ("bert", "is_decoder", json!(true)),
        ("bert", "add_cross_attention", json!(true)),
        ("bert", "hidden_act", json!("mish")),
        ("bert", "quantization_config", json!({"quant_method": "gptq"})),
        ("bert", "auto_map", json!({"AutoModel": "modeling.Model"})),
        ("bert", "architectures", json!(["BertForTokenClassification"])),
        ("bert", "num_attention_heads", json!(5)),
        ("bert", "num_hidden_layers", json!(-1)),
        ("bert_classifier", "id2label", json!({"0": "one"})),
        ("bert_classifier", "problem_type", json!("ranking")),
        ("mpnet", "relative_attention_num_buckets", json!(64)),
        ("modernbert", "rope_scaling", json!({"type": "yarn"})),
        ("modernbert", "layer_types", json!(["full_attention"])),
        ("modernbert_classifier", "rope_parameters", json!({"full_attention": {"rope_type": "linear"}})),
        ("modernbert_classifier", "classifier_pooling", json!("max")),
    ];
    for (folder, field, value) in cases {
        let message = refused_with(folder, "config.json", field, value.clone());
        assert!(message.contains(&format!("{field} = {value}")), "{folder}: {message}");
        assert!(message.contains("config.json") && message.contains("expected "), "{folder}: {message}");
    }
}

#[test]
fn modules_that_are_not_known_are_refused_by_name() {
    let cases = [
        ("1_Pooling/config.json", "pooling_mode_weightedmean_tokens", json!(true), "weightedmean"),
        ("1_Pooling/config.json", "include_prompt", json!(false), "include_prompt"),
        ("2_Dense/config.json", "activation_function", json!("torch.nn.modules.activation.Mish"), "Mish"),
        ("2_Dense/config.json", "use_residual", json!(true), "use_residual"),
        ("2_Dense/config.json", "module_input_name", json!("token_embeddings"), "token_embeddings"),
    ];
    for (file, field, value, named) in cases {
        let message = refused_with("distilbert_sentence_dense", file, field, value);
        assert!(message.contains(named), "{field}: {message}");
    }
    let folder = copy("bert_sentence");
    edit(folder.path(), "modules.json", |modules| modules[1]["type"] = json!("sentence_transformers.models.LSTM"));
    assert!(refusal(folder.path()).contains("sentence_transformers.models.LSTM"));
    let folder = copy("distilbert_sentence_dense");
    edit(folder.path(), "modules.json", |modules| {
        let modules = modules.as_array_mut().unwrap();
        modules.swap(2, 3);
    });
    assert!(refusal(folder.path()).contains("in this order"));
}

#[test]
fn an_architecture_that_is_not_built_is_told_what_to_do() {
    let message = refused_with("bert", "config.json", "model_type", json!("deberta-v2"));
    assert!(message.contains("deberta-v2") && message.contains("modernbert"), "{message}");
    assert!(message.contains("optimum-cli export onnx"), "{message}");
}

#[test]
fn missing_files_are_named_with_what_makes_them() {
    let without = |file: &str| {
        let folder = copy("bert");
        fs::remove_file(folder.path().join(file)).unwrap();
        refusal(folder.path())
    };
    assert!(without("config.json").contains("has no config.json"));
    let message = without("tokenizer.json");
    assert!(message.contains("has no tokenizer.json") && message.contains("AutoTokenizer"), "{message}");
    assert!(without("model.safetensors").contains("has no model.safetensors"));

    let folder = copy("bert");
    fs::rename(folder.path().join("model.safetensors"), folder.path().join("pytorch_model.bin")).unwrap();
    let message = refusal(folder.path());
    assert!(message.contains("pickled") && message.contains("safe_serialization=True"), "{message}");
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let message = refused_with("bert", "config.json", "num_hidden_layers", json!(3));
    assert!(message.contains("no tensor `encoder.layer.2.attention.self.query.weight`"), "{message}");
    let message = refused_with("bert", "config.json", "intermediate_size", json!(64));
    assert!(message.contains("`encoder.layer.0.intermediate.dense.weight` has the shape [48, 32]"), "{message}");

    let folder = copy("bert");
    rewrite(folder.path(), |_, (_, shape, bytes)| ("model.safetensors", (safetensors::Dtype::I32, shape, bytes)));
    assert!(refusal(folder.path()).contains("is I32"));

    let folder = copy("bert");
    fs::write(folder.path().join("model.safetensors"), b"\xff\xff\xff\xff\xff\xff\xff\xff{}").unwrap();
    assert!(refusal(folder.path()).contains("model.safetensors` is broken"));
}

#[test]
fn weights_that_nothing_is_made_of_are_told() {
    let folder = copy("bert");
    edit(folder.path(), "config.json", |config| config["num_hidden_layers"] = json!(1));
    let warnings = import(folder.path()).unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("`encoder.layer.1.")), "{warnings:?}");
}

#[test]
fn no_setting_makes_the_importer_panic() {
    let values =
        [json!(null), json!(-1), json!(0), json!(1e30), json!(1u64 << 31), json!("x"), json!([1]), json!({"0": 1})];
    let cases = [
        ("bert_classifier", "config.json"),
        ("modernbert_classifier", "config.json"),
        ("mpnet_sentence", "config.json"),
        ("mpnet_sentence", "sentence_bert_config.json"),
        ("mpnet_sentence", "tokenizer_config.json"),
        ("distilbert_sentence_dense", "1_Pooling/config.json"),
        ("distilbert_sentence_dense", "2_Dense/config.json"),
        ("modernbert_sentence", "config_sentence_transformers.json"),
    ];
    for (name, file) in cases {
        let folder = copy(name);
        let whole = fs::read(folder.path().join(file)).unwrap();
        let fields: Value = serde_json::from_slice(&whole).unwrap();
        for field in fields.as_object().unwrap().keys() {
            for value in &values {
                edit(folder.path(), file, |config| config[field] = value.clone());
                let outcome = std::panic::catch_unwind(|| import(folder.path()).map(|_| ()));
                assert!(outcome.is_ok(), "{name}/{file}: {field} = {value}");
                fs::write(folder.path().join(file), &whole).unwrap();
            }
        }
    }
}
