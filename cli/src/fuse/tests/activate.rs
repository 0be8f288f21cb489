//! Activations as exporters write them, and gates.

use tract_core::internal::*;
use tract_core::ops::math::{add, erf, mul, tanh};
use tract_core::ops::nn::sigmoid;

use super::Graph;

const ALL: &[&str] = &["activation"];

fn scaled(graph: &mut Graph, x: OutletId, by: f32) -> OutletId {
    let by = graph.number(by, 3);
    graph.op(mul(), &[x, by])
}

fn plus_one(graph: &mut Graph, x: OutletId) -> OutletId {
    let one = graph.number(1.0, 3);
    graph.op(add(), &[one, x])
}

fn erf_of(graph: &mut Graph, x: OutletId) -> OutletId {
    let scaled = scaled(graph, x, std::f32::consts::FRAC_1_SQRT_2);
    let curve = graph.op(erf(), &[scaled]);
    plus_one(graph, curve)
}

#[test]
fn a_gelu_is_known_however_it_is_written() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[4]);
    let curve = erf_of(&mut graph, x);
    let half = scaled(&mut graph, curve, 0.5);
    let y = graph.op(mul(), &[x, half]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Activate"]);

    let mut graph = Graph::new();
    let x = graph.input("x", &[4]);
    let half = scaled(&mut graph, x, 0.5);
    let curve = erf_of(&mut graph, x);
    let y = graph.op(mul(), &[curve, half]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Activate"]);
}

#[test]
fn a_gelu_with_tanh_is_known_however_its_cube_is_written() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[4]);
    let square = graph.op(mul(), &[x, x]);
    let cube = graph.op(mul(), &[square, x]);
    let small = scaled(&mut graph, cube, 0.044715);
    let inner = graph.op(add(), &[x, small]);
    let inner = scaled(&mut graph, inner, 0.797_884_6);
    let curve = graph.op(tanh(), &[inner]);
    let curve = plus_one(&mut graph, curve);
    let half = scaled(&mut graph, x, 0.5);
    let y = graph.op(mul(), &[half, curve]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Activate"]);
}

#[test]
fn sigmoid_gates_of_the_same_tensor_are_activations() {
    for factor in [1.0, 1.702] {
        let mut graph = Graph::new();
        let x = graph.input("x", &[4]);
        let inner = scaled(&mut graph, x, factor);
        let curve = graph.op(sigmoid(), &[inner]);
        let y = graph.op(mul(), &[x, curve]);
        assert_eq!(graph.rewritten(ALL, &[y]), ["Activate"], "{factor}");
    }
}

#[test]
fn what_only_looks_like_an_activation_stays() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[4]);
    let inner = scaled(&mut graph, x, 1.5);
    let curve = graph.op(sigmoid(), &[inner]);
    let y = graph.op(mul(), &[x, curve]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Mul", "Mul", "Sigmoid"]);

    let mut graph = Graph::new();
    let (x, other) = (graph.input("x", &[4]), graph.input("y", &[4]));
    let curve = graph.op(sigmoid(), &[x]);
    let y = graph.op(mul(), &[other, curve]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Mul", "Sigmoid"]);
}

#[test]
fn a_gate_and_what_it_gates_are_one_layer() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[6]);
    let (gate, value) = (graph.constant(&[6, 4]), graph.constant(&[6, 4]));
    let gate = graph.product("bsk,kn->bsn", &[x, gate]);
    let value = graph.product("bsk,kn->bsn", &[x, value]);
    let curve = graph.op(sigmoid(), &[gate]);
    let swish = graph.op(mul(), &[gate, curve]);
    let y = graph.op(mul(), &[value, swish]);
    assert_eq!(graph.fused(&[y]), ["Gate", "Linear"]);
}

#[test]
fn a_gate_of_another_tensor_stays_a_product() {
    let mut graph = Graph::new();
    let (x, other) = (graph.input("x", &[6]), graph.input("y", &[6]));
    let (gate, value) = (graph.constant(&[6, 4]), graph.constant(&[6, 4]));
    let gate = graph.product("bsk,kn->bsn", &[x, gate]);
    let value = graph.product("bsk,kn->bsn", &[other, value]);
    let curve = graph.op(tanh(), &[gate]);
    let y = graph.op(mul(), &[value, curve]);
    assert_eq!(graph.fused(&[y]), ["Linear", "Linear", "Mul"]);
}
