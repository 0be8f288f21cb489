//! Models that know four words: each word has a vector, and a text's output is the mean over its tokens.

use std::path::Path;

use axum::Router;
use emberlite::config::Config;
use emberlite::model::{
    Digest, Dim, Dtype, Entry, FORMAT, Manifest, Problem, Role, Source, Task, TensorSpec, TextSpec, Verification,
    write_package,
};
use emberlite::ops::{Embedding, Lookup, Pool, Pooling, Table};
use emberlite::store::{Location, Store};
use emberlite::{api, engine};
use serde_json::json;
use tract_core::prelude::*;

/// The largest body of the server.
pub(crate) const MAX_BODY_BYTES: usize = 4096;

/// A model to serve.
#[derive(Clone, Copy)]
pub(crate) struct Colours {
    pub(crate) name: &'static str,
    pub(crate) task: Task,
    pub(crate) problem: Option<Problem>,
}

/// Padding, unknown, start and end have no colour; then red, green, blue and dark.
const VECTORS: [[f32; 3]; 8] = [
    [0.0, 0.0, 0.0],
    [0.0, 0.0, 0.0],
    [0.0, 0.0, 0.0],
    [0.0, 0.0, 0.0],
    [1.0, 0.0, 0.0],
    [0.0, 1.0, 0.0],
    [0.0, 0.0, 1.0],
    [0.0, 0.0, -1.0],
];

fn tokenizer() -> Vec<u8> {
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    let file = json!({
        "added_tokens": [special(0, "[PAD]"), special(1, "[UNK]"), special(2, "[CLS]"), special(3, "[SEP]")],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100,
                  "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "red": 4, "green": 5, "blue": 6, "dark": 7}},
    });
    serde_json::to_vec(&file).unwrap()
}

impl Colours {
    /// How wide the output is: a colour, or how warm it is.
    fn width(self) -> usize {
        if self.task == Task::Rerank { 1 } else { 3 }
    }

    fn package(self) -> (Digest, Vec<u8>) {
        let width = self.width();
        let values: Vec<f32> = match width {
            1 => VECTORS.iter().map(|[red, _, blue]| red - blue).collect(),
            _ => VECTORS.concat(),
        };
        let mut model = TypedModel::default();
        let shape = [model.symbols.sym("N").to_dim(), model.symbols.sym("S").to_dim()];
        let ids = model.add_source("input_ids", i64::fact(shape.clone())).unwrap();
        let mask = model.add_source("attention_mask", i64::fact(shape)).unwrap();
        let table = Table::new(&values, VECTORS.len(), width).unwrap();
        let embedding = Embedding::new(vec![(table, Lookup::Input(0))]).unwrap();
        let hidden = model.wire_node("words", embedding, &[ids]).unwrap();
        let pooled = model.wire_node("pooled", Pool { pooling: Pooling::Mean }, &[hidden[0], mask]).unwrap();
        model.select_output_outlets(&pooled).unwrap();
        let graph = engine::write_graph(&model).unwrap();

        let input = |name: &str| TensorSpec {
            name: name.to_owned(),
            dtype: Dtype::Int64,
            shape: ["N", "S"].map(|symbol| Dim::Symbol(symbol.to_owned())).to_vec(),
            role: None,
        };
        let role = if self.task == Task::Embed { Role::Values } else { Role::Logits };
        let output = TensorSpec {
            name: "output".to_owned(),
            dtype: Dtype::Fp32,
            shape: vec![Dim::Symbol("N".to_owned()), Dim::Fixed(width)],
            role: Some(role),
        };
        let text: TextSpec = serde_json::from_value(json!({
            "max_tokens": 16, "ids": "input_ids", "mask": "attention_mask", "pooling": "mean",
            "prompts": {"dark": "dark "}, "problem": self.problem,
        }))
        .unwrap();
        let labels: &[&str] = if self.task == Task::Classify { &["angry", "calm", "sad"] } else { &[] };
        let manifest = Manifest {
            format: FORMAT,
            name: self.name.parse().unwrap(),
            task: self.task,
            description: String::new(),
            licence: String::new(),
            inputs: vec![input("input_ids"), input("attention_mask")],
            outputs: vec![output],
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
            features: Vec::new(),
            image: None,
            text: Some(text),
            generate: None,
            vocabulary: None,
            pruning: Vec::new(),
            quantization: None,
            recipe: None,
            examples: Vec::new(),
            source: Source {
                file: "x".to_owned(),
                format: "test".to_owned(),
                producer: None,
                digest: Digest::of(b""),
                files: Vec::new(),
            },
            tool: None,
            verification: Verification::default(),
            sections: Default::default(),
        };
        let tokenizer = tokenizer();
        let mut entries = vec![Entry::graph(&graph.text), Entry::tokenizer(&tokenizer)];
        entries.extend(graph.weights.iter().map(|(label, tensor)| Entry::weight(label, tensor).unwrap()));
        let mut bytes = Vec::new();
        let digest = write_package(&manifest, entries, &mut bytes).unwrap();
        (digest, bytes)
    }
}

/// Everything there is, for these models in a store at `root`.
pub(crate) async fn server(root: &Path, models: &[Colours]) -> Router {
    for model in models {
        let (digest, bytes) = model.package();
        let store = Store::new(Location::Folder(root.to_owned()));
        store.push(&model.name.parse().unwrap(), &digest, bytes.into()).await.unwrap();
    }
    let settings = |name: &str| match name {
        "EMBER_STORE" => Some(root.display().to_string()),
        "EMBER_MAX_BODY_BYTES" => Some(MAX_BODY_BYTES.to_string()),
        "EMBER_THREADS" => Some("2".to_owned()),
        _ => None,
    };
    api::all(&Config::read(settings).unwrap()).routes
}
