//! Attention in pieces, and the layers before it.

use tract_core::internal::*;
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::change_axes::AxisOp;
use tract_core::ops::logic::{Iff, comp_eq};
use tract_core::ops::math::{add, mul};
use tract_core::ops::nn::{Softmax, SoftmaxKind};

use super::Graph;

const ALL: &[&str] = &["attention"];

/// `[N, S, 6]` as two heads `[N, S, 2, 3]`.
fn heads(graph: &mut Graph, x: OutletId) -> OutletId {
    graph.op(AxisOp::Reshape(2, tvec!(6.to_dim()), tvec!(2.to_dim(), 3.to_dim())), &[x])
}

fn softmax(graph: &mut Graph, scores: OutletId, axis: usize) -> OutletId {
    graph.op(Softmax { axes: tvec!(axis), quant_output_dt: None, kind: SoftmaxKind::Softmax }, &[scores])
}

fn scaled(graph: &mut Graph, x: OutletId, by: f32) -> OutletId {
    let by = graph.number(by, 4);
    graph.op(mul(), &[x, by])
}

fn whole(graph: &mut Graph, heads: OutletId) -> OutletId {
    graph.op(AxisOp::Reshape(2, tvec!(2.to_dim(), 3.to_dim()), tvec!(6.to_dim())), &[heads])
}

/// `[N, 1, 1, S]`: whether a token is padding.
fn padding(graph: &mut Graph) -> OutletId {
    let ids = graph.ids("attention_mask");
    let none = graph.tensor(Tensor::from_shape(&[1, 1], &[0i64]).unwrap());
    let condition = graph.op(TypedBinOp(comp_eq(), None), &[ids, none]);
    let condition = graph.op(AxisOp::Add(1), &[condition]);
    graph.op(AxisOp::Add(1), &[condition])
}

/// Queries, keys and values of three inputs.
fn operands(graph: &mut Graph) -> [OutletId; 3] {
    ["q", "k", "v"].map(|name| {
        let x = graph.input(name, &[6]);
        heads(graph, x)
    })
}

#[test]
fn attention_takes_its_scale_from_the_scores_or_from_both_sides() {
    let mut graph = Graph::new();
    let [q, k, v] = operands(&mut graph);
    let scores = graph.product("bqhw,bkhw->bhqk", &[q, k]);
    let scores = scaled(&mut graph, scores, 0.5);
    let weights = softmax(&mut graph, scores, 3);
    let y = graph.product("bhqk,bkhw->bqhw", &[weights, v]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Attention", "Reshape"]);

    let mut graph = Graph::new();
    let [q, k, v] = operands(&mut graph);
    let (q, k) = (scaled(&mut graph, q, 0.7), scaled(&mut graph, k, 0.7));
    let scores = graph.product("bqhw,bkhw->bhqk", &[q, k]);
    let weights = softmax(&mut graph, scores, 3);
    let y = graph.product("bhqk,bkhw->bqhw", &[weights, v]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Attention", "Reshape"]);
}

#[test]
fn axes_may_lie_otherwise() {
    let mut graph = Graph::new();
    let [q, k, v] = operands(&mut graph);
    let k = graph.op(AxisOp::Move(1, 3), &[k]);
    let v = graph.op(AxisOp::Move(1, 2), &[v]);
    let scores = graph.product("bqhw,bhwk->bqkh", &[q, k]);
    let weights = softmax(&mut graph, scores, 2);
    let y = graph.product("bqkh,bhkw->bhqw", &[weights, v]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Attention", "MoveAxis", "Reshape"]);
}

#[test]
fn masks_and_hidden_scores_are_added() {
    let mut graph = Graph::new();
    let [q, k, v] = operands(&mut graph);
    let bias = graph.constant(&[1, 2, 1, 1]);
    let condition = padding(&mut graph);
    let scores = graph.product("bqhw,bkhw->bhqk", &[q, k]);
    let scores = graph.op(add(), &[bias, scores]);
    let hidden = graph.number(f32::MIN, 4);
    let scores = graph.op(Iff, &[condition, hidden, scores]);
    let weights = softmax(&mut graph, scores, 3);
    let y = graph.product("bhqk,bkhw->bqhw", &[weights, v]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["AddAxis", "AddAxis", "Attention", "Eq", "Iff", "Reshape"]);
}

#[test]
fn a_head_whose_every_score_is_hidden_sees_all_alike() {
    let mut graph = Graph::new();
    let [q, k, v] = operands(&mut graph);
    let condition = graph.tensor(tensor1(&[true, false]).into_shape(&[1, 2, 1, 1]).unwrap());
    let scores = graph.product("bqhw,bkhw->bhqk", &[q, k]);
    let hidden = graph.number(f32::MIN, 4);
    let scores = graph.op(Iff, &[condition, scores, hidden]);
    let weights = softmax(&mut graph, scores, 3);
    let y = graph.product("bhqk,bkhw->bqhw", &[weights, v]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Attention", "Reshape"]);
}

#[test]
fn keys_may_be_more_than_queries() {
    let mut graph = Graph::new();
    let q = graph.input("q", &[6]);
    let [k, v] = ["k", "v"].map(|name| graph.longer(name, &[6]));
    let [q, k, v] = [q, k, v].map(|x| heads(&mut graph, x));
    let scores = graph.product("bqhw,bkhw->bhqk", &[q, k]);
    let weights = softmax(&mut graph, scores, 3);
    let y = graph.product("bhqk,bkhw->bqhw", &[weights, v]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Attention", "Reshape"]);
}

#[test]
fn values_that_all_texts_share_stay_a_product() {
    let mut graph = Graph::new();
    let [q, k, _] = operands(&mut graph);
    let shape = [1.to_dim(), graph.model.symbols.sym("S").to_dim(), 2.to_dim(), 3.to_dim()];
    let shared = graph.model.add_source("shared", f32::fact(shape)).unwrap();
    let scores = graph.product("bqhw,bkhw->bhqk", &[q, k]);
    let weights = softmax(&mut graph, scores, 3);
    let y = graph.product("bhqk,bkhw->bqhw", &[weights, shared]);
    let left = graph.rewritten(ALL, &[y]);
    assert_eq!(left, ["EinSum", "EinSum", "Reshape", "Reshape", "Softmax"]);
}

#[test]
fn scores_that_something_else_needs_stay() {
    let mut graph = Graph::new();
    let [q, k, v] = operands(&mut graph);
    let scores = graph.product("bqhw,bkhw->bhqk", &[q, k]);
    let weights = softmax(&mut graph, scores, 3);
    let y = graph.product("bhqk,bkhw->bqhw", &[weights, v]);
    let left = graph.rewritten(ALL, &[y, weights]);
    assert_eq!(left, ["EinSum", "EinSum", "Reshape", "Reshape", "Reshape", "Softmax"]);
}

#[test]
fn a_softmax_over_queries_is_no_attention() {
    let mut graph = Graph::new();
    let [q, k, v] = operands(&mut graph);
    let scores = graph.product("bqhw,bkhw->bhqk", &[q, k]);
    let weights = softmax(&mut graph, scores, 2);
    let y = graph.product("bhqk,bkhw->bqhw", &[weights, v]);
    let left = graph.rewritten(ALL, &[y]);
    assert_eq!(left, ["EinSum", "EinSum", "Reshape", "Reshape", "Reshape", "Softmax"]);
}

fn layers(graph: &mut Graph, inputs: [OutletId; 3]) -> OutletId {
    let [q, k, v] = inputs.map(|x| {
        let weight = graph.constant(&[6, 6]);
        let bias = graph.constant(&[1, 1, 6]);
        let product = graph.product("bsk,kn->bsn", &[x, weight]);
        let sum = graph.op(add(), &[product, bias]);
        heads(graph, sum)
    });
    let scores = graph.product("bqhw,bkhw->bhqk", &[q, k]);
    let weights = softmax(graph, scores, 3);
    let heads = graph.product("bhqk,bkhw->bqhw", &[weights, v]);
    let y = whole(graph, heads);
    let weight = graph.constant(&[6, 6]);
    graph.product("bsk,kn->bsn", &[y, weight])
}

#[test]
fn layers_of_one_tensor_become_one() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[6]);
    let y = layers(&mut graph, [x, x, x]);
    assert_eq!(graph.fused(&[y]), ["Attention", "Linear", "Linear"]);
}

#[test]
fn layers_of_several_tensors_stay_apart() {
    let mut graph = Graph::new();
    let (x, other) = (graph.input("x", &[6]), graph.input("y", &[6]));
    let y = layers(&mut graph, [x, other, other]);
    assert_eq!(graph.fused(&[y]), ["Attention", "Linear", "Linear", "Linear", "Linear"]);
}
