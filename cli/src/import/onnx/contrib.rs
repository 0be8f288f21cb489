//! onnxruntime's own fused operators, which its optimizer writes, as the standard operators that they stand for.

use std::collections::HashMap;

use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::nodes::{attribute, float, input, integers, node, to_float, with_float, with_integer, with_integers};

const DOMAIN: &str = "com.microsoft";

/// Expands `EmbedLayerNormalization` and `Attention`, where their form is one of an encoder's. Others stay.
pub(super) fn expand(graph: &mut GraphProto) {
    let facts = Facts::of(graph);
    let mut expansion = Expansion::default();
    let mut nodes = Vec::new();
    for mut fused in std::mem::take(&mut graph.node) {
        let expanded = match fused.op_type.as_str() {
            "EmbedLayerNormalization" => embed_layer_norm(&fused, &mut expansion),
            "Attention" if fused.domain == DOMAIN => {
                facts.point_at_mask(&mut fused);
                attention(&fused, &facts, &mut expansion)
            }
            _ => None,
        };
        match expanded {
            Some(()) => nodes.append(&mut expansion.nodes),
            None => nodes.push(fused),
        }
    }
    graph.node = nodes;
    graph.initializer.append(&mut expansion.constants);
}

#[derive(Default)]
struct Expansion {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl Expansion {
    fn add(&mut self, made: NodeProto) {
        self.nodes.push(made);
    }

    fn constant(&mut self, tensor: TensorProto) {
        self.constants.push(tensor);
    }
}

/// What the graph around a fused operator tells.
struct Facts {
    /// By name: the columns of a constant matrix.
    columns: HashMap<String, i64>,
    /// By name of a count of tokens for each row: the mask that they are counted in.
    counted: HashMap<String, String>,
    /// Tensors that are an input of batch by sequence, cast or not.
    masks: Vec<String>,
}

impl Facts {
    fn of(graph: &GraphProto) -> Facts {
        let matrix = |tensor: &TensorProto| match tensor.dims[..] {
            [_, columns] => Some((tensor.name.clone(), columns)),
            _ => None,
        };
        let embeds = graph.node.iter().filter(|node| node.op_type == "EmbedLayerNormalization");
        let counted_by_embed = |node: &NodeProto| Some((node.output.get(1)?.clone(), input(node, 7)?.to_owned()));
        let mut masks: Vec<String> = graph
            .input
            .iter()
            .filter(|input| match input.r#type.as_ref().and_then(|kind| kind.value.as_ref()) {
                Some(Value::TensorType(tensor)) => tensor.shape.as_ref().is_some_and(|shape| shape.dim.len() == 2),
                None => false,
            })
            .map(|input| input.name.clone())
            .collect();
        for cast in graph.node.iter().filter(|node| node.op_type == "Cast") {
            if input(cast, 0).is_some_and(|from| masks.iter().any(|mask| mask == from)) {
                masks.extend(cast.output.first().cloned());
            }
        }
        let sums = graph.node.iter().filter(|node| node.op_type == "ReduceSum");
        let counted_by_sum = |node: &NodeProto| Some((node.output.first()?.clone(), input(node, 0)?.to_owned()));
        let of_masks = |(_, summed): &(String, String)| masks.contains(summed);
        let counted = sums.filter_map(counted_by_sum).filter(of_masks).chain(embeds.filter_map(counted_by_embed));
        Facts { columns: graph.initializer.iter().filter_map(matrix).collect(), counted: counted.collect(), masks }
    }

    /// Has `attention` read the mask itself rather than the number of tokens that it lets through.
    fn point_at_mask(&self, attention: &mut NodeProto) {
        if let Some(mask) = attention.input.get_mut(3)
            && let Some(counted) = self.counted.get(mask)
        {
            *mask = counted.clone();
        }
    }
}

/// Rows of up to three tables, added and normed. The count of tokens, its second output, is for [`attention`] only.
fn embed_layer_norm(fused: &NodeProto, expansion: &mut Expansion) -> Option<()> {
    let output = fused.output.first()?.as_str();
    let named = |part: &str| format!("{output}.{part}");
    let (ids, words, positions) = (input(fused, 0)?, input(fused, 2)?, input(fused, 3)?);
    let (gain, bias) = (input(fused, 5)?, input(fused, 6)?);
    let epsilon = attribute(fused, "epsilon").map_or(1e-12, |epsilon| epsilon.f);
    let sum = fused.output.get(2).filter(|sum| !sum.is_empty()).cloned().unwrap_or_else(|| named("sum"));
    expansion.add(node("Gather", &[words, ids], &named("words")));
    match input(fused, 8) {
        Some(given) => expansion.add(node("Gather", &[positions, given], &named("positions"))),
        None => {
            expansion.constant(integers(&named("second"), &[1], false));
            expansion.constant(integers(&named("first"), &[0], false));
            expansion.add(node("Shape", &[ids], &named("shape")));
            expansion.add(node("Gather", &[&named("shape"), &named("second")], &named("length")));
            let range = [&*named("first"), &*named("length"), &*named("second")];
            expansion.add(node("Range", &range, &named("indices")));
            expansion.add(node("Gather", &[positions, &named("indices")], &named("positions")));
        }
    }
    let of_two = match (input(fused, 1), input(fused, 4)) {
        (Some(segments), Some(table)) => {
            expansion.add(node("Gather", &[table, segments], &named("segments")));
            expansion.add(node("Add", &[&named("words"), &named("segments")], &named("typed")));
            named("typed")
        }
        _ => named("words"),
    };
    expansion.add(node("Add", &[&of_two, &named("positions")], &sum));
    let norm = with_float(node("LayerNormalization", &[&sum, gain, bias], output), "epsilon", epsilon);
    expansion.add(norm);
    Some(())
}

/// Self-attention with one matrix for queries, keys and values: without a cache, not causal, its mask of batch by
/// sequence.
fn attention(fused: &NodeProto, facts: &Facts, expansion: &mut Expansion) -> Option<()> {
    let output = fused.output.first()?.as_str();
    let named = |part: &str| format!("{output}.{part}");
    let plain = |name: &str| attribute(fused, name).is_none_or(|attribute| attribute.i == 0);
    let mask = input(fused, 3);
    let known = input(fused, 4).is_none()
        && input(fused, 6).is_none()
        && fused.output.len() == 1
        && mask.is_none_or(|mask| facts.masks.iter().any(|known| known == mask))
        && attribute(fused, "qkv_hidden_sizes").is_none_or(|sizes| sizes.ints.is_empty())
        && ["unidirectional", "do_rotary"].into_iter().all(plain);
    let heads = attribute(fused, "num_heads")?.i;
    let (hidden, weights) = (input(fused, 0)?, input(fused, 1)?);
    let width = facts.columns.get(weights)? / 3;
    if !known || heads <= 0 || width % heads != 0 {
        return None;
    }
    let scale = attribute(fused, "scale").map(|scale| scale.f).filter(|&scale| scale != 0.0);
    let scale = scale.unwrap_or_else(|| ((width / heads) as f32).sqrt().recip());

    expansion.add(node("MatMul", &[hidden, weights], &named("product")));
    let mut all = named("product");
    if let Some(bias) = input(fused, 2) {
        expansion.add(node("Add", &[&all, bias], &named("qkv")));
        all = named("qkv");
    }
    let mut split = with_integer(node("Split", &[&all], &named("q")), "axis", 2);
    split.output.extend([named("k"), named("v")]);
    expansion.add(split);
    expansion.constant(integers(&named("by_head"), &[0, 0, heads, width / heads], true));
    expansion.constant(integers(&named("together"), &[0, 0, width], true));
    for (part, order) in [("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])] {
        let (heads, turned) = (named(&format!("{part}_heads")), named(&format!("{part}_turned")));
        expansion.add(node("Reshape", &[&named(part), &named("by_head")], &heads));
        expansion.add(with_integers(node("Transpose", &[&heads], &turned), "perm", &order));
    }
    expansion.constant(float(&named("scale"), scale));
    expansion.add(node("MatMul", &[&named("q_turned"), &named("k_turned")], &named("dots")));
    expansion.add(node("Mul", &[&named("dots"), &named("scale")], &named("scores")));
    let mut scores = named("scores");
    if let Some(mask) = mask {
        let lowest = attribute(fused, "mask_filter_value").map_or(-10000.0, |value| value.f);
        expansion.constant(float(&named("one"), 1.0));
        expansion.constant(float(&named("lowest"), lowest));
        expansion.constant(integers(&named("by_key"), &[0, 1, 1, -1], true));
        expansion.add(to_float(mask, &named("mask")));
        expansion.add(node("Sub", &[&named("one"), &named("mask")], &named("padding")));
        expansion.add(node("Mul", &[&named("padding"), &named("lowest")], &named("penalty")));
        expansion.add(node("Reshape", &[&named("penalty"), &named("by_key")], &named("penalties")));
        expansion.add(node("Add", &[&scores, &named("penalties")], &named("masked")));
        scores = named("masked");
    }
    if let Some(bias) = input(fused, 5) {
        expansion.add(node("Add", &[&scores, bias], &named("biased")));
        scores = named("biased");
    }
    expansion.add(with_integer(node("Softmax", &[&scores], &named("shares")), "axis", 3));
    expansion.add(node("MatMul", &[&named("shares"), &named("v_turned")], &named("mixed")));
    let turned = with_integers(node("Transpose", &[&named("mixed")], &named("rows")), "perm", &[0, 2, 1, 3]);
    expansion.add(turned);
    expansion.add(node("Reshape", &[&named("rows"), &named("together")], output));
    Some(())
}
