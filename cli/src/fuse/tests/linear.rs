//! Products with constants, and what may follow them.

use tract_core::ops::math::{add, mul, tanh};

use super::Graph;

const ALL: &[&str] = &["linear", "linear_activation", "linear_residual"];

#[test]
fn a_product_with_a_constant_is_a_layer_however_its_axes_lie() {
    for (axes, constant) in [("bsk,kn->bsn", [6, 4]), ("bsk,nk->bsn", [4, 6])] {
        let mut graph = Graph::new();
        let x = graph.input("x", &[6]);
        let w = graph.constant(&constant);
        let y = graph.product(axes, &[x, w]);
        assert_eq!(graph.rewritten(ALL, &[y]), ["Linear"], "{axes}");
    }
    let mut graph = Graph::new();
    let x = graph.input("x", &[6]);
    let w = graph.constant(&[6, 4]);
    let y = graph.product("kn,bsk->bsn", &[w, x]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Linear"]);
}

#[test]
fn a_product_over_several_axes_is_a_layer_of_them_together() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[2, 3]);
    let w = graph.constant(&[2, 3, 4]);
    let y = graph.product("bshd,hdn->bsn", &[x, w]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Linear", "Reshape"]);
}

#[test]
fn a_result_with_other_axes_is_moved_back() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[6]);
    let w = graph.constant(&[6, 4]);
    let y = graph.product("bsk,kn->bns", &[x, w]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Linear", "MoveAxis"]);
}

#[test]
fn scale_and_bias_go_into_the_layer() {
    for bias_first in [false, true] {
        let mut graph = Graph::new();
        let x = graph.input("x", &[6]);
        let w = graph.constant(&[6, 4]);
        let (scale, bias) = (graph.constant(&[1, 1, 4]), graph.constant(&[1, 1, 4]));
        let product = graph.product("bsk,kn->bsn", &[x, w]);
        let scaled = graph.op(mul(), &[product, scale]);
        let operands = if bias_first { [bias, scaled] } else { [scaled, bias] };
        let y = graph.op(add(), &operands);
        assert_eq!(graph.rewritten(ALL, &[y]), ["Linear"]);
    }
}

#[test]
fn a_layer_takes_its_activation_and_then_its_residual() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[4]);
    let w = graph.constant(&[4, 4]);
    let product = graph.product("bsk,kn->bsn", &[x, w]);
    let curved = graph.op(tanh(), &[product]);
    let y = graph.op(add(), &[x, curved]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Linear"]);
}

#[test]
fn what_something_else_needs_stays() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[4]);
    let w = graph.constant(&[4, 4]);
    let product = graph.product("bsk,kn->bsn", &[x, w]);
    let y = graph.op(add(), &[x, product]);
    assert_eq!(graph.rewritten(ALL, &[y, product]), ["Add", "Linear"]);
}

#[test]
fn an_activation_after_the_residual_stays() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[4]);
    let w = graph.constant(&[4, 4]);
    let product = graph.product("bsk,kn->bsn", &[x, w]);
    let sum = graph.op(add(), &[x, product]);
    let y = graph.op(tanh(), &[sum]);
    assert_eq!(graph.rewritten(&["linear", "linear_residual", "linear_activation"], &[y]), ["Linear", "Tanh"]);
}

#[test]
fn a_product_of_two_tensors_is_no_layer() {
    let mut graph = Graph::new();
    let (x, y) = (graph.input("x", &[4]), graph.input("y", &[4]));
    let product = graph.product("bsk,btk->bst", &[x, y]);
    assert_eq!(graph.rewritten(ALL, &[product]), ["EinSum"]);
}

#[test]
fn an_outer_product_is_no_layer() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[1]);
    let w = graph.constant(&[1, 4]);
    let y = graph.product("bsk,kn->bsn", &[x, w]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["EinSum"]);
}
