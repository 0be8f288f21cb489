//! What `emberlite` promises about language models, each kept against the library that wrote the folder or the file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[path = "import_language/gguf.rs"]
mod gguf;
#[path = "import_language/reference.rs"]
mod reference;
#[path = "import_language/refusals.rs"]
mod refusals;
#[path = "import_language/speech.rs"]
mod speech;
#[path = "import_language/stories.rs"]
mod stories;

use reference::Reference;

/// Defines tests that the logits after every prompt, and the text that follows greedily, are those of transformers.
macro_rules! models_match {
    ($($promise:ident: $folder:literal;)*) => {
        $(#[test]
        fn $promise() {
            let reference = Reference::folder($folder);
            reference.assert_logits();
            reference.assert_greedy();
            reference.assert_spec();
            assert_eq!(reference.imported.warnings, Vec::<String>::new());
        })*
    };
}

models_match! {
    llama_matches: "llama";
    llama_with_tied_embeddings_in_bfloat16_matches: "llama_tied_bf16";
    llama_with_biases_in_half_precision_in_several_files_matches: "llama_biased_shards";
    llama_with_linear_rotations_spelled_as_transformers_4_does_matches: "llama_linear";
    llama_with_the_rotations_of_llama_3_matches: "llama_llama3";
    llama_with_yarn_matches: "llama_yarn";
    mistral_with_a_window_matches: "mistral";
    qwen2_matches: "qwen2";
    qwen2_with_a_window_in_its_upper_layers_matches: "qwen2_window";
    qwen3_matches: "qwen3";
    gemma_matches: "gemma";
    gemma_2_matches: "gemma2";
    gemma_3_matches: "gemma3";
}

#[test]
fn llama_with_dynamic_rotations_matches_within_its_context_and_says_where_that_ends() {
    let reference = Reference::folder("llama_dynamic");
    reference.assert_logits();
    reference.assert_greedy();
    reference.assert_spec();
    let [warning] = &reference.imported.warnings[..] else { panic!("{:?}", reference.imported.warnings) };
    assert!(warning.contains("more than 128 tokens") && warning.contains("dynamic"), "{warning}");
}
