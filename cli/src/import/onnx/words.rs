//! Which words an input of strings may hold.

use std::collections::{BTreeMap, HashSet};

use tract_onnx::tract_hir::prelude::{DatumType, TypedModel};

use emberlite::ops::label_map::LabelMap;
use emberlite::ops::one_hot::OneHot;

/// By input of strings: the words that the operators it goes to know.
pub(super) fn by_input(model: &TypedModel) -> BTreeMap<String, Vec<String>> {
    let inputs = model.inputs.iter().map(|outlet| &model.nodes[outlet.node]);
    let words = inputs.map(|node| (node.name.clone(), below(model, node.id)));
    words.filter(|(_, words)| !words.is_empty()).collect()
}

fn below(model: &TypedModel, node: usize) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut seen = HashSet::new();
    let mut open = vec![node];
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let node = &model.nodes[id];
        let encoded = node.op_as::<OneHot>().and_then(OneHot::strings);
        if let Some(known) = encoded.or_else(|| node.op_as::<LabelMap>().and_then(LabelMap::strings)) {
            words.extend(known.iter().filter(|word| !words.contains(word)).cloned().collect::<Vec<_>>());
            continue;
        }
        let strings = node.outputs.iter().filter(|output| output.fact.datum_type == DatumType::String);
        let next = strings.flat_map(|output| &output.successors).map(|inlet| inlet.node);
        open.extend(next);
    }
    words
}
