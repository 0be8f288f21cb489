//! What `emberlite` promises about fused encoders: every export of every architecture becomes the same few operators, and
//! still gives what transformers gives.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "import_encoders/export.rs"]
#[allow(dead_code)]
mod export;

use std::collections::BTreeMap;

use emberlite_cli::fuse::fuse;
use export::Export;

/// The operators of a fused export, by name, without constants and inputs.
fn operators(export: &Export) -> Result<BTreeMap<String, usize>, String> {
    let mut model = export.import()?.model;
    let labels: Vec<_> = model.outputs.iter().map(|outlet| model.outlet_label(*outlet).map(str::to_owned)).collect();
    fuse(&mut model).map_err(|error| format!("{}: {error:?}", export.file))?;
    export.check_graph(&model)?;
    let kept: Vec<_> = model.outputs.iter().map(|outlet| model.outlet_label(*outlet).map(str::to_owned)).collect();
    assert_eq!(labels, kept, "{}: the outputs", export.file);
    let names = model.nodes.iter().map(|node| &node.name);
    let odd = names.clone().find(|name| !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    assert_eq!(odd, None, "{}: a name", export.file);
    let mut operators = BTreeMap::new();
    for node in model.nodes.iter().filter(|node| !["Const", "Source"].contains(&&*node.op.name())) {
        *operators.entry(node.op.name().into_owned()).or_default() += 1;
    }
    Ok(operators)
}

/// How an encoder of `layers` layers may come out.
struct Promise {
    /// How many of an operator every layer has.
    each: &'static [(&'static str, usize)],
    /// How many of an operator there are besides.
    besides: &'static [(&'static str, usize)],
    /// How many other operators there are at most.
    others: usize,
}

const LAYER: &[(&str, usize)] = &[("Attention", 1), ("Linear", 4), ("Norm", 2)];

/// Every export of these models comes out as promised.
fn assert_fused(models: &[&str], layers: usize, promise: &Promise) {
    let mut failures = Vec::new();
    let exports = Export::all().into_iter().filter(|export| models.contains(&&*export.model));
    for export in exports {
        match operators(&export) {
            Ok(operators) => {
                let each = promise.each.iter().map(|(name, count)| (*name, count * layers));
                let mut left = operators.clone();
                for (name, count) in each.chain(promise.besides.iter().copied()) {
                    let got = left.entry(name.to_owned()).or_default();
                    *got = got.checked_sub(count).unwrap_or(usize::MAX / 2);
                }
                if left.values().sum::<usize>() > promise.others {
                    failures.push(format!("{}: {operators:?}", export.file));
                }
            }
            Err(reason) => failures.push(reason),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_bert_is_four_linear_layers_two_norms_and_an_attention_per_layer() {
    // Some exports have the pooler: a layer, and the gather before it. Those of onnxruntime's optimizer add biases
    // and positions by themselves.
    let besides = &[("Embedding", 1), ("Norm", 1)];
    assert_fused(&["bert", "roberta", "xlm_roberta", "distilbert"], 2, &Promise { each: LAYER, besides, others: 13 });
}

#[test]
fn an_encoder_with_a_projection_of_its_embeddings_has_one_layer_more() {
    let besides = &[("Embedding", 1), ("Norm", 1), ("Linear", 1), ("KeyMask", 1)];
    assert_fused(&["albert", "electra"], 2, &Promise { each: LAYER, besides, others: 0 });
}

#[test]
fn position_biases_are_one_operator() {
    let besides = &[("Embedding", 1), ("Norm", 1), ("PositionBias", 1)];
    assert_fused(&["mpnet"], 2, &Promise { each: LAYER, besides, others: 1 });
    let each = &[("Attention", 1), ("Linear", 4), ("Norm", 2), ("Gate", 1)];
    assert_fused(&["t5_encoder"], 2, &Promise { each, besides, others: 1 });
}

#[test]
fn a_later_token_is_hidden_by_the_attention_itself() {
    let besides = &[("Embedding", 1), ("Norm", 1)];
    assert_fused(&["clip_text"], 2, &Promise { each: LAYER, besides, others: 14 });
}

#[test]
fn classifiers_keep_their_heads() {
    let besides = &[("Embedding", 1), ("Norm", 1), ("KeyMask", 1), ("Gather", 1), ("Linear", 2)];
    assert_fused(&["bert_classifier", "roberta_classifier"], 2, &Promise { each: LAYER, besides, others: 0 });
}

#[test]
fn a_pooled_encoder_keeps_its_pooling() {
    let besides = &[("Embedding", 1), ("Norm", 1), ("KeyMask", 1)];
    assert_fused(&["bert_sentence"], 1, &Promise { each: LAYER, besides, others: 18 });
}

#[test]
fn rotary_positions_become_part_of_attention() {
    let each = &[("Attention", 1), ("Linear", 4), ("Norm", 2), ("Gate", 1)];
    let besides = &[("Embedding", 1), ("Norm", 1), ("KeyMask", 1)];
    assert_fused(&["modernbert"], 2, &Promise { each, besides, others: 0 });
}

#[test]
fn attention_with_terms_of_another_kind_is_left_as_it_is() {
    let each = &[("Linear", 6), ("Norm", 2), ("Softmax", 1)];
    let besides = &[("Embedding", 1), ("Norm", 1)];
    assert_fused(&["deberta_v2"], 2, &Promise { each, besides, others: 120 });
}
