//! GGUF files, each kept against what transformers makes of it.

use emberlite::model::{Model, Package};
use emberlite::ops::Linear;
use emberlite_cli::pack::{Packed, Request, pack};
use emberlite_cli::recipe::Recipe;

use crate::reference::{Reference, path};

fn load(name: &str) -> Reference {
    let folder = path("gguf");
    Reference::of(&folder.join(format!("{name}.gguf")), &folder.join(format!("{name}.json")))
}

/// Defines tests that the logits, the greedy text and the tokens of a file are those of transformers.
macro_rules! files_match {
    ($($promise:ident: $file:literal;)*) => {
        $(#[test]
        fn $promise() {
            let reference = load($file);
            reference.assert_logits();
            reference.assert_greedy();
            reference.assert_spec();
            assert!(reference.spec().chat_template.is_some());
            assert_eq!(reference.spec().special["eos_token"], "</s>");
            assert_eq!(reference.imported.source.format, "gguf");
            assert_eq!(reference.imported.warnings, Vec::<String>::new());
        })*
    };
}

files_match! {
    llama_in_f16_matches: "llama_f16";
    llama_in_q8_0_matches: "llama_q8_0";
    llama_in_q4_0_matches: "llama_q4_0";
    qwen2_in_bf16_matches: "qwen2_bf16";
    qwen3_in_f16_matches: "qwen3_f16";
    gemma_2_in_f16_matches: "gemma2_f16";
    gemma_3_in_f16_matches: "gemma3_f16";
}

fn packed(name: &str) -> Packed {
    let recipe = Recipe::find(&path("gguf").join(format!("{name}.gguf"))).unwrap();
    pack(&Request { recipe, ..Request::default() }).unwrap_or_else(|error| panic!("{error:#}"))
}

#[test]
fn weights_in_q4_0_are_packed_bit_for_bit() {
    let given = load("llama_q4_0").imported.q4;
    let package = Package::open(packed("llama_q4_0").bytes.into()).unwrap();
    let graph = package.read_graph().unwrap();
    let linear = |name: &str| graph.node_by_name(name).unwrap().op_as::<Linear>().unwrap().clone();
    assert_eq!(given.len(), 8);
    for (layer, blocks) in given {
        assert_eq!(linear(&layer).q4_blocks().unwrap(), blocks, "{layer}");
    }
}

#[test]
fn a_packed_file_is_a_model_that_runs() {
    let packed = packed("qwen2_bf16");
    assert_eq!(packed.manifest.name.to_string(), "qwen2_bf16");
    assert_eq!(packed.manifest.source.format, "gguf");
    let model = Model::load(&Package::open(packed.bytes.into()).unwrap()).unwrap();
    assert!(model.decoder().is_some() && model.tokenizer().is_some());
}
