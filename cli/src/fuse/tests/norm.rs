//! Norms in pieces.

use tract_core::internal::*;
use tract_core::ops::math::{add, mul, sub};
use tract_core::ops::nn::{Reduce, Reducer, RmsNorm};

use super::Graph;

const ALL: &[&str] = &["norm"];

fn rms(graph: &mut Graph, x: OutletId) -> OutletId {
    graph.op(RmsNorm { axis: 2, eps: Arc::new(tensor0(1e-6f32)) }, &[x])
}

fn layer(graph: &mut Graph, x: OutletId, axis: usize, count: f32) -> OutletId {
    let sum = graph.op(Reduce { axes: tvec!(axis), reducer: Reducer::Sum }, &[x]);
    let share = graph.number(1.0 / count, 3);
    let mean = graph.op(mul(), &[sum, share]);
    let centred = graph.op(sub(), &[x, mean]);
    let normed = rms(graph, centred);
    let (gain, bias) = (graph.constant(&[1, 1, 8]), graph.constant(&[1, 1, 8]));
    let scaled = graph.op(mul(), &[normed, gain]);
    graph.op(add(), &[bias, scaled])
}

#[test]
fn a_layer_norm_is_one_operator() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[8]);
    let y = layer(&mut graph, x, 2, 8.0);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Norm"]);
}

#[test]
fn a_norm_takes_the_sum_before_it_in() {
    let mut graph = Graph::new();
    let (one, other) = (graph.input("x", &[8]), graph.input("y", &[8]));
    let sum = graph.op(add(), &[one, other]);
    let y = layer(&mut graph, sum, 2, 8.0);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Norm"]);
}

#[test]
fn a_sum_that_something_else_needs_stays() {
    let mut graph = Graph::new();
    let (one, other) = (graph.input("x", &[8]), graph.input("y", &[8]));
    let sum = graph.op(add(), &[one, other]);
    let y = layer(&mut graph, sum, 2, 8.0);
    assert_eq!(graph.rewritten(ALL, &[y, sum]), ["Add", "Norm"]);
}

#[test]
fn an_rms_norm_takes_its_gain() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[8]);
    let normed = rms(&mut graph, x);
    let gain = graph.constant(&[1, 1, 8]);
    let y = graph.op(mul(), &[gain, normed]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Norm"]);
}

#[test]
fn what_is_not_the_mean_stays_subtracted() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[8]);
    let y = layer(&mut graph, x, 2, 9.0);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Add", "Mul", "Norm", "Reduce<Sum>", "Sub"]);
}
