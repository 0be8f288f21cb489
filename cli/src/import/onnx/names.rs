//! Names that tract-OPL text can spell, and the user's own names where the user sees them.

use std::collections::HashSet;

use tract_onnx::tract_hir::internal::{OutletId, TractResult};
use tract_onnx::tract_hir::prelude::TypedModel;

/// Gives every output the name in `outputs` as its label, and every node that is no input a name of its own made of
/// ASCII letters, digits and `_`. Drops what the file says about itself, which is no part of the graph.
pub(super) fn clean(model: &mut TypedModel, outputs: &[String]) -> TractResult<()> {
    model.properties.retain(|key, _| !key.starts_with("onnx."));
    let labelled: Vec<(OutletId, &String)> = model.outputs.iter().copied().zip(outputs).collect();
    for (outlet, name) in &labelled {
        model.set_outlet_label(*outlet, (*name).clone())?;
    }
    let inputs: HashSet<usize> = model.inputs.iter().map(|outlet| outlet.node).collect();
    let mut taken: HashSet<String> = model.symbols.all_symbols().iter().map(ToString::to_string).collect();
    taken.extend(inputs.iter().map(|&id| model.nodes[id].name.clone()));
    taken.extend(outputs.iter().cloned());
    for node in model.nodes.iter_mut().filter(|node| !inputs.contains(&node.id)) {
        let stem = spelled(&node.name);
        let fresh = std::iter::once(stem.clone()).chain((1..).map(|n| format!("{stem}_{n}")));
        if let Some(name) = fresh.into_iter().find(|name| taken.insert(name.clone())) {
            node.name = name;
        }
    }
    Ok(())
}

/// `name` with `_` for everything but ASCII letters and digits, and a letter in front. tract-OPL reads `inf…`,
/// `true…` and `false…` as the start of a literal.
fn spelled(name: &str) -> String {
    let mut spelled: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let literal = ["inf", "true", "false"].iter().any(|literal| spelled.starts_with(literal));
    if literal || !spelled.starts_with(|c: char| c.is_ascii_alphabetic()) {
        spelled.insert_str(0, "n_");
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::spelled;

    #[test]
    fn a_name_is_spelled_with_what_tract_opl_can_read() {
        assert_eq!(spelled("/fc/Gemm.0"), "n__fc_Gemm_0");
        assert_eq!(spelled("3x"), "n_3x");
        assert_eq!(spelled("true_label"), "n_true_label");
        assert_eq!(spelled("größe"), "gr__e");
    }
}
