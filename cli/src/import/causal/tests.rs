//! Settings in both spellings mean the same.

use std::path::Path;

use serde_json::{Value, json};

use super::architecture::Architecture;
use super::rotation::Rotation;
use super::spans;
use crate::import::folder::Settings;

fn settings(value: Value) -> Settings {
    let Value::Object(values) = value else { panic!("expected an object") };
    Settings::new(Path::new("config.json"), values)
}

fn rotation(value: Value, local: bool) -> Rotation {
    let config = settings(value);
    Rotation::of(&Architecture::find(&config).unwrap(), &config, 16, local).unwrap()
}

#[test]
fn rotations_are_the_same_in_both_spellings() {
    let scaling = [
        json!({"rope_type": "linear", "factor": 2.0}),
        json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}),
        json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64}),
    ];
    for scaling in scaling {
        let base = json!({"model_type": "llama", "max_position_embeddings": 256});
        let (mut older, mut newer) = (base.clone(), base);
        (older["rope_theta"], older["rope_scaling"]) = (json!(5e5), scaling.clone());
        newer["rope_parameters"] = scaling;
        newer["rope_parameters"]["rope_theta"] = json!(5e5);
        assert_eq!(rotation(older, false), rotation(newer, false));
    }
}

#[test]
fn local_layers_of_gemma_3_have_rotations_of_their_own_in_both_spellings() {
    let older = json!({"model_type": "gemma3_text", "max_position_embeddings": 256, "rope_theta": 1e6,
        "rope_local_base_freq": 1e4, "rope_scaling": {"rope_type": "linear", "factor": 8.0}});
    let newer = json!({"model_type": "gemma3_text", "max_position_embeddings": 256, "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}});
    for local in [false, true] {
        assert_eq!(rotation(older.clone(), local), rotation(newer.clone(), local));
    }
    let silent = json!({"model_type": "gemma3_text", "max_position_embeddings": 256});
    let frequency = |local: bool| rotation(silent.clone(), local).frequencies[1];
    assert!((frequency(false) - 1e6f32.powf(-0.125)).abs() < 1e-6);
    assert!((frequency(true) - 1e4f32.powf(-0.125)).abs() < 1e-6);
}

#[test]
fn windows_are_where_each_architecture_has_them() {
    let of = |value: Value, layers: usize| {
        let config = settings(value);
        spans::of(&Architecture::find(&config).unwrap(), &config, layers).unwrap()
    };
    assert_eq!(of(json!({"model_type": "llama", "sliding_window": 8}), 2), [None, None]);
    assert_eq!(of(json!({"model_type": "mistral", "sliding_window": null}), 2), [None, None]);
    assert_eq!(of(json!({"model_type": "mistral", "sliding_window": 8}), 2), [Some(8), Some(8)]);
    assert_eq!(of(json!({"model_type": "mistral"}), 1), [Some(4096)]);
    let qwen2 = json!({"model_type": "qwen2", "sliding_window": 8, "max_window_layers": 1});
    assert_eq!(of(qwen2.clone(), 2), [None, None]);
    let mut used = qwen2;
    used["use_sliding_window"] = true.into();
    assert_eq!(of(used, 2), [None, Some(8)]);
    assert_eq!(of(json!({"model_type": "gemma2", "sliding_window": 8}), 4), [Some(8), None, Some(8), None]);
    let gemma3 = json!({"model_type": "gemma3_text", "sliding_window": 8, "sliding_window_pattern": 3});
    assert_eq!(of(gemma3, 6), [Some(8), Some(8), None, Some(8), Some(8), None]);
}
