//! What can't be imported is refused, with what is wrong.

use std::fs;

use emberlite_cli::import::import;
use serde_json::{Value, json};

use crate::speech::{copy, edit};

/// Why a copy of `folder` is refused whose config.json says `value` in `field`.
fn refused_with(folder: &str, field: &str, value: Value) -> String {
    let copy = copy(folder);
    edit(copy.path(), "config.json", |config| config[field] = value);
    import(copy.path()).unwrap_err().to_string()
}

#[test]
fn settings_that_change_the_arithmetic_are_refused_by_name() {
    let cases = [
        ("mistral", "attention_bias", json!(true)),
        ("qwen2", "mlp_bias", json!(true)),
        ("llama", "partial_rotary_factor", json!(0.5)),
        ("llama", "quantization_config", json!({"quant_method": "awq"})),
        ("llama", "auto_map", json!({"AutoModelForCausalLM": "modeling.Model"})),
        ("llama", "num_local_experts", json!(8)),
        ("qwen3", "num_experts", json!(128)),
        ("llama", "architectures", json!(["LlamaForSequenceClassification"])),
        ("llama", "hidden_act", json!("xielu")),
        ("llama", "num_key_value_heads", json!(3)),
        ("llama", "num_hidden_layers", json!(-1)),
        ("llama", "rope_parameters", json!({"rope_type": "longrope", "factor": 2.0})),
        ("llama", "rope_parameters", json!({"rope_type": "linear"})),
        ("llama", "rope_parameters", json!({"rope_type": "default", "partial_rotary_factor": 0.5})),
        ("gemma3", "layer_types", json!(["full_attention"])),
        ("gemma3", "layer_types", json!(["full_attention", "chunked_attention", "full_attention"])),
        ("gemma3", "use_bidirectional_attention", json!(true)),
    ];
    for (folder, field, value) in cases {
        let message = refused_with(folder, field, value.clone());
        assert!(message.contains(&format!("{field} = {value}")), "{folder}: {message}");
        assert!(message.contains("config.json") && message.contains("expected "), "{folder}: {message}");
    }
}

#[test]
fn an_architecture_that_is_not_known_is_refused_with_those_that_are() {
    let message = refused_with("llama", "model_type", json!("mamba"));
    assert!(message.contains("\"mamba\"") && message.contains("llama, mistral, qwen2, qwen3, gemma"), "{message}");
}

#[test]
fn a_folder_without_tokenizer_or_weights_is_refused_with_what_to_do() {
    for (file, remedy) in [("tokenizer.json", "save_pretrained"), ("model.safetensors", "save_pretrained")] {
        let folder = copy("llama");
        fs::remove_file(folder.path().join(file)).unwrap();
        let message = import(folder.path()).unwrap_err().to_string();
        assert!(message.contains(file) && message.contains(remedy), "{message}");
    }
}

#[test]
fn sizes_that_contradict_the_weights_are_refused_with_the_tensor_named() {
    let message = refused_with("llama", "intermediate_size", json!(64));
    assert!(message.contains("model.layers.0.mlp.gate_proj.weight") && message.contains("[64, 32]"), "{message}");
    let message = refused_with("llama", "num_hidden_layers", json!(3));
    assert!(message.contains("model.layers.2.input_layernorm.weight"), "{message}");
}

#[test]
fn tensors_of_which_nothing_was_made_are_told() {
    let folder = copy("llama");
    edit(folder.path(), "config.json", |config| config["num_hidden_layers"] = json!(1));
    let warnings = import(folder.path()).unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("model.layers.1.")), "{warnings:?}");
}
