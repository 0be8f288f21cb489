//! Masks, as exporters compute them.

use emberlite::ops::Attention;
use emberlite::ops::opaque::Opaque;
use tract_core::internal::*;
use tract_core::ops::array::{Gather, MultiBroadcastTo, Range};
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::cast::cast;
use tract_core::ops::change_axes::AxisOp;
use tract_core::ops::logic::{Iff, and, comp_lte};
use tract_core::ops::math::{abs, mul, sub};

use super::Graph;

const ALL: &[&str] = &["mask"];

const ATTENTION: Attention =
    Attention { heads: 2, head_width: 3, scale: 0.5, causal: false, window: None, rotary: None, fused: true, masks: 1 };

fn attention(graph: &mut Graph, mask: OutletId) -> OutletId {
    let (table, ids) = (graph.constant(&[2, 18]), graph.ids("ids"));
    let x = graph.op(Gather::new(0), &[table, ids]);
    graph.op(ATTENTION, &[x, mask])
}

/// `[N, 1, 1, S]`: whether a token is none of padding.
fn kept(graph: &mut Graph) -> OutletId {
    let mask = graph.ids("attention_mask");
    let mask = graph.op(AxisOp::Add(1), &[mask]);
    let mask = graph.op(AxisOp::Add(1), &[mask]);
    graph.op(cast(bool::datum_type()), &[mask])
}

/// `[1, 1, S, 1]` and `[1, 1, 1, S]`: the places of queries and keys, as imports leave a range.
fn places(graph: &mut Graph, tokens: &str) -> [OutletId; 2] {
    let end = graph.model.symbols.sym(tokens).to_dim();
    let [start, end, step] = [0.to_dim(), end, 1.to_dim()].map(|dim| graph.tensor(tensor0(dim)));
    let range = graph.op(Range::new(graph.model.symbols.sym(tokens).to_dim()), &[start, end, step]);
    let range = graph.op(Opaque, &[range]);
    let key = (0..3).fold(range, |key, _| graph.op(AxisOp::Add(0), &[key]));
    [graph.op(AxisOp::Move(3, 2), &[key]), key]
}

fn hidden_unless(graph: &mut Graph, condition: OutletId) -> OutletId {
    let (shown, hidden) = (graph.number(0.0, 4), graph.number(f32::MIN, 4));
    graph.op(Iff, &[condition, shown, hidden])
}

#[test]
fn an_expanded_mask_of_padding_is_a_key_mask() {
    let mut graph = Graph::new();
    let condition = kept(&mut graph);
    let [n, s] = ["N", "S"].map(|name| graph.model.symbols.sym(name).to_dim());
    let shape = ShapeFact::from_dims([n, 1.to_dim(), s.clone(), s]);
    let condition = graph.op(MultiBroadcastTo { shape }, &[condition]);
    let mask = hidden_unless(&mut graph, condition);
    let y = attention(&mut graph, mask);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Attention", "Gather", "KeyMask"]);
}

#[test]
fn later_and_far_tokens_are_hidden_by_the_attention() {
    let mut graph = Graph::new();
    let [query, key] = places(&mut graph, "S");
    let condition = graph.op(TypedBinOp(comp_lte(), None), &[key, query]);
    let mask = hidden_unless(&mut graph, condition);
    let y = attention(&mut graph, mask);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Attention", "Gather"]);

    let mut graph = Graph::new();
    let [query, key] = places(&mut graph, "S");
    let distance = graph.op(sub(), &[query, key]);
    let distance = graph.op(abs(), &[distance]);
    let reach = graph.tensor(tensor0(3i64).into_shape(&[1; 4]).unwrap());
    let near = graph.op(TypedBinOp(comp_lte(), None), &[distance, reach]);
    let kept = kept(&mut graph);
    let condition = graph.op(and(), &[near, kept]);
    let mask = hidden_unless(&mut graph, condition);
    let y = attention(&mut graph, mask);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Attention", "Gather", "KeyMask"]);
}

#[test]
fn a_mask_with_another_meaning_stays() {
    let mut graph = Graph::new();
    let [query, key] = places(&mut graph, "S");
    let product = graph.op(mul(), &[query, key]);
    let limit = graph.tensor(tensor0(7i64).into_shape(&[1; 4]).unwrap());
    let condition = graph.op(TypedBinOp(comp_lte(), None), &[product, limit]);
    let mask = hidden_unless(&mut graph, condition);
    let y = attention(&mut graph, mask);
    let left = graph.rewritten(ALL, &[y]);
    assert!(left.contains(&"Iff".to_owned()), "{left:?}");
}

#[test]
fn a_mask_that_hides_nothing_goes() {
    let mut graph = Graph::new();
    let zeros = graph.number(0.0, 4);
    let y = attention(&mut graph, zeros);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Attention", "Gather"]);
}

#[test]
fn keys_before_a_query_are_counted_from_the_first() {
    let mut graph = Graph::new();
    let [query, _] = places(&mut graph, "S");
    let [_, key] = places(&mut graph, "T");
    let condition = graph.op(TypedBinOp(comp_lte(), None), &[key, query]);
    let mask = hidden_unless(&mut graph, condition);
    let (words, q, k) = (graph.constant(&[2, 6]), graph.ids("ids"), graph.longer_ids("longer"));
    let [q, k] = [q, k].map(|ids| graph.op(Gather::new(0), &[words, ids]));
    let op = Attention { fused: false, ..ATTENTION };
    let y = graph.op(op, &[q, k, k, mask]);
    let left = graph.rewritten(ALL, &[y]);
    assert!(left.contains(&"Iff".to_owned()), "{left:?}");
}
