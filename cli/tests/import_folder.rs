//! What `emberlite` promises about folders of text models, each kept against the library that wrote the folder.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[path = "import_folder/assembled.rs"]
mod assembled;
#[path = "import_folder/minilm.rs"]
mod minilm;
#[path = "import_folder/reference.rs"]
mod reference;
#[path = "import_folder/refusals.rs"]
mod refusals;

use assembled::{copy, edit, narrowed, rewrite, with_onnx};
use emberlite::model::{Problem, Task};
use emberlite::ops::Pooling;
use emberlite_cli::import::{Imported, import};
use reference::Reference;
use safetensors::Dtype;
use serde_json::{Value, json};

/// Defines tests that the vectors of every token are those of transformers.
macro_rules! encoders_match {
    ($($promise:ident: $folder:literal;)*) => {
        $(#[test]
        fn $promise() {
            let reference = Reference::load($folder);
            reference.assert_hidden();
            assert_eq!(reference.imported.task, Some(Task::Embed));
            assert_eq!(reference.text().pooling, Some(Pooling::Mean));
            assert_eq!(reference.text().max_tokens as u64, reference.value["max_tokens"].as_u64().unwrap());
        })*
    };
}

encoders_match! {
    bert_matches: "bert";
    bert_with_an_approximate_gelu_matches: "bert_gelu_tanh";
    distilbert_matches: "distilbert";
    electra_matches: "electra";
    modernbert_matches: "modernbert";
    mpnet_matches: "mpnet";
    roberta_matches: "roberta";
    xlm_roberta_matches: "xlm_roberta";
}

#[test]
fn classifiers_match_and_bring_their_labels() {
    for architecture in ["bert", "distilbert", "electra", "modernbert", "mpnet", "roberta", "xlm_roberta"] {
        let reference = Reference::load(&format!("{architecture}_classifier"));
        reference.assert_output("logits");
        assert_eq!(reference.imported.task, Some(Task::Classify), "{architecture}");
        assert_eq!(reference.imported.labels, ["card", "transfer", "cash"], "{architecture}");
        assert_eq!(reference.text().problem, Some(Problem::SingleLabel), "{architecture}");
    }
    Reference::load("modernbert_mean_classifier").assert_output("logits");
    Reference::load("modernbert_biased_classifier").assert_output("logits");
}

#[test]
fn a_classifier_brings_its_problem() {
    let problem = |name: &str| {
        let reference = Reference::load(name);
        reference.assert_output("logits");
        (reference.imported.task, reference.text().problem)
    };
    assert_eq!(problem("bert_multi_label"), (Some(Task::Classify), Some(Problem::MultiLabel)));
    assert_eq!(problem("bert_regression"), (Some(Task::Classify), Some(Problem::Regression)));
    assert_eq!(problem("bert_reranker"), (Some(Task::Rerank), Some(Problem::Regression)));
    assert_eq!(problem("roberta_reranker"), (Some(Task::Rerank), Some(Problem::MultiLabel)));
    assert_eq!(problem("xlm_roberta_reranker"), (Some(Task::Rerank), Some(Problem::MultiLabel)));
}

#[test]
fn sentence_encoders_match_and_bring_their_pooling() {
    let settings = |name: &str| {
        let reference = Reference::load(name);
        reference.assert_output("pooled");
        assert_eq!(reference.imported.task, Some(Task::Embed), "{name}");
        assert_eq!(reference.imported.warnings, Vec::<String>::new(), "{name}");
        let text = reference.text();
        assert_eq!(text.max_tokens as u64, reference.value["max_tokens"].as_u64().unwrap(), "{name}");
        (text.pooling, text.normalize)
    };
    assert_eq!(settings("bert_sentence"), (Some(Pooling::Mean), true));
    assert_eq!(settings("roberta_sentence_cls"), (Some(Pooling::Cls), true));
    assert_eq!(settings("xlm_roberta_sentence_plain"), (Some(Pooling::Mean), false));
    assert_eq!(settings("mpnet_sentence"), (Some(Pooling::Mean), true));
    assert_eq!(settings("bert_sentence_max"), (Some(Pooling::Max), false));
    assert_eq!(settings("modernbert_sentence"), (Some(Pooling::Mean), true));
    assert_eq!(settings("distilbert_sentence_dense"), (Some(Pooling::Mean), true));
    assert_eq!(settings("bert_sentence_two_poolings"), (None, true));
}

#[test]
fn an_onnx_file_in_a_folder_brings_tokenizer_pooling_and_labels() {
    let native = Reference::load("bert");
    for place in ["onnx/model.onnx", "model.onnx"] {
        let folder = with_onnx("bert", "bert_legacy_14", place);
        let whole = Reference::at(folder.path());
        assert_eq!(whole.text(), native.text(), "{place}");
        assert_eq!(whole.imported.tokenizer, native.imported.tokenizer, "{place}");
        whole.assert_hidden();
        let alone = import(&folder.path().join(place)).unwrap();
        assert_eq!(alone.text.as_ref(), Some(native.text()), "{place}");
    }

    let folder = with_onnx("bert_classifier", "bert_classifier_legacy_14", "model.onnx");
    let classifier = import(folder.path()).unwrap();
    assert_eq!(classifier.task, Some(Task::Classify));
    assert_eq!(classifier.labels, ["card", "transfer", "cash"]);
    assert_eq!(classifier.text.unwrap().problem, Some(Problem::SingleLabel));

    let folder = with_onnx("bert_sentence", "bert_sentence_optimum", "onnx/model.onnx");
    let sentence = Reference::at(folder.path());
    sentence.assert_output("embedding");
    assert_eq!((sentence.text().pooling, sentence.text().normalize), (None, true));
}

#[test]
fn an_onnx_file_is_taken_where_the_weights_are_none_that_are_built_from() {
    let shape = |imported: &Imported| {
        let fact = imported.model.output_fact(0).unwrap();
        fact.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    let folder = with_onnx("bert", "t5_encoder_legacy_14", "onnx/model.onnx");
    edit(folder.path(), "config.json", |config| config["model_type"] = "t5".into());
    let encoder = import(folder.path()).unwrap();
    assert_eq!((encoder.text.clone().unwrap().pooling, shape(&encoder)), (Some(Pooling::Mean), "N,32".to_owned()));

    let folder = with_onnx("bert", "clip_text_legacy_14", "model.onnx");
    edit(folder.path(), "config.json", |config| config["model_type"] = "clip_text_model".into());
    let clip = import(folder.path()).unwrap();
    assert_eq!((clip.text.clone().unwrap().pooling, shape(&clip)), (None, "N,32".to_owned()));
}

#[test]
fn an_onnx_file_without_a_tokenizer_stays_a_graph_of_tensors_and_says_so() {
    let folder = with_onnx("bert", "bert_legacy_14", "model.onnx");
    std::fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    let imported = import(&folder.path().join("model.onnx")).unwrap();
    assert_eq!((imported.task, imported.text), (None, None));
    assert!(imported.warnings.iter().any(|warning| warning.contains("no tokenizer.json")), "{:?}", imported.warnings);
}

#[test]
fn an_encoder_in_a_folder_of_its_own_is_found() {
    let folder = copy("bert_sentence");
    let inner = folder.path().join("0_Transformer");
    std::fs::create_dir(&inner).unwrap();
    for file in
        ["config.json", "model.safetensors", "sentence_bert_config.json", "tokenizer.json", "tokenizer_config.json"]
    {
        std::fs::rename(folder.path().join(file), inner.join(file)).unwrap();
    }
    edit(folder.path(), "modules.json", |modules| modules[0]["path"] = "0_Transformer".into());
    let moved = Reference::at(folder.path());
    moved.assert_output("pooled");
    assert_eq!(moved.text(), Reference::load("bert_sentence").text());
}

#[test]
fn weights_in_half_precision_and_in_several_files_are_read() {
    let whole = Reference::load("bert_sentence");
    for dtype in [Dtype::F16, Dtype::BF16] {
        let folder = copy("bert_sentence");
        rewrite(folder.path(), |_, weights| ("model.safetensors", narrowed(weights, dtype)));
        let narrow = Reference::at(folder.path());
        let distance = narrow.distance("pooled");
        assert!(distance > 0.0 && distance < 0.05, "{dtype:?}: {distance}");
        assert_eq!(narrow.text(), whole.text());
    }

    let folder = copy("bert_sentence");
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    rewrite(folder.path(), |index, weights| (shards[index % 2], weights));
    let sharded = Reference::at(folder.path());
    sharded.assert_output("pooled");
    assert_eq!(sharded.imported.source.files.len(), 3);
}

#[test]
fn sentence_transformers_lower_case_and_prompts_are_kept() {
    let folder = copy("modernbert_sentence");
    edit(folder.path(), "sentence_bert_config.json", |config| config["do_lower_case"] = true.into());
    edit(folder.path(), "config_sentence_transformers.json", |config| {
        config["prompts"] = json!({"query": "search: ", "document": ""});
        config["default_prompt_name"] = "query".into();
    });
    let imported = import(folder.path()).unwrap();
    let text = imported.text.unwrap();
    assert_eq!(text.prompts["query"], "search: ");
    assert_eq!(text.default_prompt.as_deref(), Some("query"));
    let tokenizer: Value = serde_json::from_slice(&imported.tokenizer.unwrap()).unwrap();
    assert_eq!(tokenizer["normalizer"]["normalizers"][0]["type"], "Lowercase");
}

#[test]
fn a_tokenizer_that_contradicts_its_settings_is_told() {
    let folder = copy("bert_sentence");
    let lowers = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap()["normalizer"]["lowercase"] == true;
    let told = !lowers(&import(folder.path()).unwrap().tokenizer.unwrap());
    edit(folder.path(), "tokenizer_config.json", |config| config["do_lower_case"] = told.into());
    let warnings = import(folder.path()).unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains(&format!("do_lower_case = {told}"))), "{warnings:?}");
}
