//! Files that onnxruntime quantized for speed: products of integers become the products of floats that they stand for.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{GraphProto, NodeProto};

use super::nodes::{float, input, node as operator, to_float};

/// Undoes dynamic quantization: a `DynamicQuantizeLinear` that only `MatMulInteger` reads, the other factor of which is
/// a weight. The activations stay the floats they were, the weights become what their integers stand for.
///
/// Gives the number of products.
pub(super) fn undo(graph: &mut GraphProto) -> usize {
    let weights: HashSet<String> = graph.initializer.iter().map(|tensor| tensor.name.clone()).collect();
    let quantized: HashMap<String, Quantized> = graph
        .node
        .iter()
        .filter(|node| node.op_type == "DynamicQuantizeLinear" && node.output.len() == 3)
        .map(|node| Quantized::of(graph, &weights, node))
        .filter(|quantized| quantized.only_products)
        .map(|quantized| (quantized.integers.clone(), quantized))
        .collect();
    let mut nodes = Vec::new();
    let mut products = 0;
    for node in std::mem::take(&mut graph.node) {
        let dynamic = node.op_type == "DynamicQuantizeLinear";
        if dynamic && node.output.first().is_some_and(|integers| quantized.contains_key(integers)) {
            continue;
        }
        match node.input.first().and_then(|input| quantized.get(input)) {
            Some(activations) if node.op_type == "MatMulInteger" => {
                nodes.extend(product(&node, &activations.floats));
                products += 1;
            }
            _ => nodes.push(node),
        }
    }
    graph.node = nodes;
    graph.initializer.extend(quantized.values().map(|quantized| float(&quantized.scale, 1.0)));
    products
}

/// What a `DynamicQuantizeLinear` reads and makes.
struct Quantized {
    floats: String,
    integers: String,
    scale: String,
    only_products: bool,
}

impl Quantized {
    fn of(graph: &GraphProto, weights: &HashSet<String>, node: &NodeProto) -> Quantized {
        let (integers, scale, zero) = (&node.output[0], &node.output[1], &node.output[2]);
        let fits = |reader: &NodeProto| {
            let places = reader.input.iter().enumerate().filter(|(_, input)| *input == integers || *input == zero);
            let factor = reader.input.get(1).is_some_and(|factor| weights.contains(factor));
            reader.op_type == "MatMulInteger" && factor && places.map(|(place, _)| place).all(|place| place % 2 == 0)
        };
        let mut readers = graph.node.iter().filter(|node| node.input.iter().any(|i| i == integers || i == zero));
        let given = graph.output.iter().any(|output| node.output.contains(&output.name));
        Quantized {
            floats: node.input.first().cloned().unwrap_or_default(),
            integers: integers.clone(),
            scale: scale.clone(),
            only_products: !given && readers.all(fits),
        }
    }
}

/// `floats` times the weights of `node`, less their zero point.
fn product(node: &NodeProto, floats: &str) -> Vec<NodeProto> {
    let (weights, output) = (&node.input[1], &node.output[0]);
    let named = |suffix: &str| format!("{output}.{suffix}");
    let mut made = vec![to_float(weights, &named("weights"))];
    let mut factor = named("weights");
    if let Some(zero) = input(node, 3) {
        made.push(to_float(zero, &named("zero")));
        made.push(operator("Sub", &[&factor, &named("zero")], &named("centred")));
        factor = named("centred");
    }
    made.push(operator("MatMul", &[floats, &factor], output));
    made
}
