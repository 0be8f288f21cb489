//! Rows of tables, and which of them.

use tract_core::internal::*;
use tract_core::ops::array::{Gather, Slice};
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::cast::cast;
use tract_core::ops::logic::comp_lte;
use tract_core::ops::math::{add, mul};

use super::Graph;

const ALL: &[&str] = &["embedding"];

fn gather(graph: &mut Graph, table: OutletId, ids: OutletId) -> OutletId {
    graph.op(Gather::new(0), &[table, ids])
}

#[test]
fn words_types_and_positions_are_one_embedding() {
    let mut graph = Graph::new();
    let (ids, types) = (graph.ids("ids"), graph.ids("types"));
    let [words, kinds, places] = [[9, 4], [2, 4], [32, 4]].map(|shape| graph.constant(&shape));
    let counted: Vec<i64> = (0..32).collect();
    let counted = graph.tensor(Tensor::from_shape(&[1, 32], &counted).unwrap());
    let end = graph.model.symbols.sym("S").to_dim();
    let counted = graph.op(Slice::new(1, 0, end), &[counted]);
    let rows = [(words, ids), (kinds, types), (places, counted)].map(|(table, ids)| gather(&mut graph, table, ids));
    let sum = graph.op(add(), &rows[..2]);
    let y = graph.op(add(), &[sum, rows[2]]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Embedding"]);
}

#[test]
fn rows_of_a_quantized_table_are_an_embedding() {
    let mut graph = Graph::new();
    let ids = graph.ids("ids");
    let table = graph.tensor(Tensor::from_shape(&[2, 3], &[1u8, 2, 3, 4, 5, 6]).unwrap());
    let scale = graph.number(0.25, 3);
    let rows = gather(&mut graph, table, ids);
    let rows = graph.op(cast(f32::datum_type()), &[rows]);
    let y = graph.op(mul(), &[rows, scale]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Embedding"]);
}

#[test]
fn computed_ids_are_computed_as_before() {
    let mut graph = Graph::new();
    let (ids, types) = (graph.ids("ids"), graph.ids("types"));
    let table = graph.constant(&[9, 4]);
    let sum = graph.op(add(), &[ids, types]);
    let y = gather(&mut graph, table, sum);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Add", "Embedding"]);
}

#[test]
fn columns_of_a_table_are_no_embedding() {
    let mut graph = Graph::new();
    let ids = graph.ids("ids");
    let table = graph.constant(&[4, 9]);
    let y = graph.op(Gather::new(1), &[table, ids]);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Gather"]);
}

#[test]
fn ids_that_only_seldom_differ_are_computed_as_before() {
    let mut graph = Graph::new();
    let ids = graph.ids("ids");
    let (words, kinds) = (graph.constant(&[9, 4]), graph.constant(&[2, 4]));
    let last = graph.tensor(Tensor::from_shape(&[1, 1], &[102i64]).unwrap());
    let second = graph.op(TypedBinOp(comp_lte(), None), &[last, ids]);
    let types = graph.op(cast(i64::datum_type()), &[second]);
    let rows = [(words, ids), (kinds, types)].map(|(table, ids)| gather(&mut graph, table, ids));
    let y = graph.op(add(), &rows);
    assert_eq!(graph.rewritten(ALL, &[y]), ["Cast", "Embedding", "LTE"]);
}
