//! What `emberlite pack --prune` promises about real architectures: each is pruned, or says that it has no such parts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use emberlite::engine::tensor::from_vec;
use emberlite::engine::{CacheFormat, Chunk, Decoder, Plan, Want, read_graph, write_graph};
use emberlite_cli::calibrate::Calibration;
use emberlite_cli::fuse::fuse;
use emberlite_cli::import::{import, spelled};
use emberlite_cli::progress::Progress;
use emberlite_cli::prune::{Method, Part, Step, parameters, prune};
use tract_core::prelude::{Tensor, TypedModel};

/// Ids below this are words in every fixture.
const WORDS: i64 = 30;

/// Random texts, and what the model made of them before.
struct Texts {
    source: TypedModel,
    expected: OnceCell<Vec<Vec<f32>>>,
}

impl Texts {
    fn numbers(&self, model: &TypedModel) -> Result<Vec<f32>> {
        let mut random = fastrand::Rng::with_seed(3);
        let mut outputs = Vec::new();
        let decoder = Decoder::new(model.clone()).ok();
        let plan = if decoder.is_none() { Some(Plan::new(model.clone())?) } else { None };
        for _ in 0..24 {
            let ids: Vec<i64> = (0..random.usize(5..12)).map(|_| random.i64(4..WORDS)).collect();
            if let Some(decoder) = &decoder {
                let tokens: Vec<u32> = ids.iter().map(|id| *id as u32).collect();
                let mut sequence = decoder.sequence(CacheFormat::F32);
                let mut chunks = [Chunk { sequence: &mut sequence, tokens: &tokens, want: Want::All }];
                outputs.extend(decoder.run(&mut chunks)?.rows(0).flatten());
            }
            if let Some(plan) = &plan {
                let first = plan.run(inputs(model, &ids)?)?.remove(0);
                outputs.extend_from_slice(first.try_as_plain_ram().unwrap().as_slice::<f32>().unwrap());
            }
        }
        Ok(outputs)
    }
}

/// The inputs of an encoder for a text.
fn inputs(model: &TypedModel, ids: &[i64]) -> Result<Vec<Tensor>> {
    let input = |name: &str| match name {
        "attention_mask" => vec![1; ids.len()],
        "token_type_ids" => vec![0; ids.len()],
        "position_ids" => (0..ids.len() as i64).collect(),
        _ => ids.to_vec(),
    };
    let names = model.inputs.iter().map(|outlet| model.nodes[outlet.node].name.as_str());
    names.map(|name| from_vec(&[1, ids.len()], input(name)).map_err(|reason| anyhow!(reason))).collect()
}

impl Calibration for Texts {
    fn name(&self) -> &str {
        "random texts"
    }

    fn run(&self, model: &TypedModel, _progress: &Progress) -> Result<()> {
        self.numbers(model).map(|_| ())
    }

    fn outputs(&self, model: &TypedModel) -> Result<Vec<Vec<f32>>> {
        Ok(vec![self.numbers(model)?])
    }

    fn expected(&self) -> Result<&[Vec<f32>]> {
        if self.expected.get().is_none() {
            drop(self.expected.set(Calibration::outputs(self, &self.source)?));
        }
        Ok(self.expected.get().map_or(&[], Vec::as_slice))
    }

    fn distance(&self, expected: &[Vec<f32>], got: &[Vec<f32>]) -> f64 {
        let square = |(a, b): (&f32, &f32)| f64::from((a - b) * (a - b));
        let power: f64 = expected.iter().flatten().map(|x| f64::from(x * x)).sum();
        expected.iter().flatten().zip(got.iter().flatten()).map(square).sum::<f64>() / power / 2.0
    }
}

const METHODS: [Method; 6] =
    [Method::Neurons, Method::Heads, Method::Layers, Method::LowRank, Method::Blocks, Method::Weights];

/// Prunes a model by every method and gives those that found nothing to take out.
fn without(source: &Path) -> Vec<Method> {
    let name = source.file_name().unwrap().to_string_lossy().into_owned();
    let mut model = import(source).unwrap_or_else(|error| panic!("{name}: {error}")).model;
    fuse(&mut model).unwrap();
    let texts = Texts { source: model.clone(), expected: OnceCell::new() };
    let mut nothing = Vec::new();
    for method in METHODS {
        let step = Step { method, amount: Part::new(0.5).unwrap(), keep: Vec::new() };
        match prune(model.clone(), &[step], &texts, &Progress::start("")) {
            Ok((smaller, account)) => {
                assert!(account[0].removed > 0, "{name}, {method}: {account:?}");
                assert!(parameters(&smaller) < parameters(&model), "{name}, {method}: {account:?}");
                let graph = write_graph(&spelled(&smaller)).unwrap();
                let again = read_graph(&graph.text, &graph).unwrap_or_else(|error| panic!("{name}, {method}: {error}"));
                let (left, read) = (texts.numbers(&smaller).unwrap(), texts.numbers(&again).unwrap());
                let apart = left.iter().zip(&read).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(apart < 1e-5 && account[0].loss.is_finite(), "{name}, {method}: {apart} {account:?}");
            }
            Err(error) => {
                let said = format!("the model has no {method} that can be taken out");
                assert_eq!(format!("{error:#}"), said, "{name}");
                nothing.push(method);
            }
        }
    }
    nothing
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Each model lacks the parts that it is said to lack, and no others.
fn assert_pruned(folder: &str, models: &[(&str, &[Method])]) {
    let found: Vec<_> = models.iter().map(|(model, _)| (*model, without(&fixture(folder).join(model)))).collect();
    let promised: Vec<_> = models.iter().map(|(model, nothing)| (*model, nothing.to_vec())).collect();
    assert_eq!(found, promised);
}

/// What a model of one layer lacks, and one whose sums are not seen.
const SHALLOW: &[Method] = &[Method::Layers];

#[test]
fn encoders_of_folders_lose_neurons_heads_layers_and_ranks() {
    let models: [(&str, &[Method]); 8] = [
        ("bert", &[]),
        ("bert_classifier", SHALLOW),
        ("distilbert", &[]),
        ("electra", &[]),
        ("modernbert", &[]),
        ("mpnet_sentence", SHALLOW),
        ("roberta", &[]),
        ("xlm_roberta", &[]),
    ];
    assert_pruned("encoders/folders", &models);
}

#[test]
fn encoders_of_onnx_files_do_too() {
    let models: [(&str, &[Method]); 12] = [
        ("albert_optimum.onnx", &[]),
        ("bert_dynamo_18.onnx", &[]),
        ("bert_legacy_14.onnx", &[]),
        ("bert_fused.onnx", SHALLOW),
        ("clip_text_optimum.onnx", &[]),
        ("deberta_v2_optimum.onnx", &[Method::Heads]),
        ("distilbert_optimum.onnx", &[]),
        ("modernbert_optimum.onnx", &[]),
        ("mpnet_optimum.onnx", &[]),
        ("roberta_dynamo_18.onnx", &[]),
        ("t5_encoder_optimum.onnx", &[]),
        ("xlm_roberta_legacy_14.onnx", &[]),
    ];
    assert_pruned("encoders/onnx", &models);
}

#[test]
fn language_models_do_too() {
    let folders = ["gemma", "gemma2", "gemma3", "llama", "llama_tied_bf16", "mistral", "qwen2", "qwen3"];
    assert_pruned("language/folders", &folders.map(|folder| (folder, &[][..])));
    assert_pruned("language/gguf", &[("llama_q4_0.gguf", &[])]);
}
