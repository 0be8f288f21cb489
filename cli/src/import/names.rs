//! Names that tract-OPL text can spell, and the user's own names where the user sees them.

use std::collections::HashSet;

use tract_onnx::tract_hir::internal::{OutletId, TractResult};
use tract_onnx::tract_hir::prelude::TypedModel;

/// A copy of `model` for tract-OPL text: what is no name there, or could be taken for another, is spelled otherwise,
/// inputs and outputs included. Their order and everything else stay.
///
/// # Examples
/// ```no_run
/// # let imported = emberlite_cli::import::import("credit.onnx".as_ref())?;
/// let graph = emberlite::engine::write_graph(&emberlite_cli::import::spelled(&imported.model));
/// # Ok::<(), emberlite_cli::import::ImportError>(())
/// ```
pub fn spelled(model: &TypedModel) -> TypedModel {
    let mut model = model.clone();
    let mut names = Names::of_symbols(&model);
    let inputs: Vec<usize> = model.inputs.iter().map(|outlet| outlet.node).collect();
    for id in inputs {
        model.nodes[id].name = names.fresh(&model.nodes[id].name);
    }
    let outputs: Vec<OutletId> = model.outputs.to_vec();
    for outlet in outputs {
        let is_input = model.inputs.contains(&outlet);
        let label = match model.outlet_label(outlet) {
            _ if is_input => model.nodes[outlet.node].name.clone(),
            Some(label) => names.fresh(label),
            None => names.fresh("output"),
        };
        model.outlet_labels.insert(outlet, label);
    }
    let inputs: HashSet<usize> = model.inputs.iter().map(|outlet| outlet.node).collect();
    for node in model.nodes.iter_mut().filter(|node| !inputs.contains(&node.id)) {
        node.name = names.fresh(&node.name);
    }
    model
}

/// Names that are taken.
struct Names(HashSet<String>);

impl Names {
    fn of_symbols(model: &TypedModel) -> Names {
        Names(model.symbols.all_symbols().iter().map(ToString::to_string).collect())
    }

    /// A name of its own, as near to `name` as it can be.
    fn fresh(&mut self, name: &str) -> String {
        let stem = spell(name);
        let mut fresh = stem.clone();
        let mut count = 0;
        while !self.0.insert(fresh.clone()) {
            count += 1;
            fresh = format!("{stem}_{count}");
        }
        fresh
    }
}

/// Gives every output the name in `outputs` as its label, and every node that is no input a name of its own made of
/// ASCII letters, digits and `_`. Drops what the file says about itself, which is no part of the graph.
pub(super) fn clean(model: &mut TypedModel, outputs: &[String]) -> TractResult<()> {
    model.properties.retain(|key, _| !key.starts_with("onnx."));
    let labelled: Vec<(OutletId, &String)> = model.outputs.iter().copied().zip(outputs).collect();
    for (outlet, name) in &labelled {
        model.set_outlet_label(*outlet, (*name).clone())?;
    }
    let inputs: HashSet<usize> = model.inputs.iter().map(|outlet| outlet.node).collect();
    let mut names = Names::of_symbols(model);
    names.0.extend(inputs.iter().map(|&id| model.nodes[id].name.clone()));
    names.0.extend(outputs.iter().cloned());
    for node in model.nodes.iter_mut().filter(|node| !inputs.contains(&node.id)) {
        node.name = names.fresh(&node.name);
    }
    Ok(())
}

/// `name` with `_` for everything but ASCII letters and digits, and a letter in front. tract-OPL reads `inf…`,
/// `true…` and `false…` as the start of a literal.
fn spell(name: &str) -> String {
    let mut spelled: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let literal = ["inf", "true", "false"].iter().any(|literal| spelled.starts_with(literal));
    if literal || !spelled.starts_with(|c: char| c.is_ascii_alphabetic()) {
        spelled.insert_str(0, "n_");
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::spell;

    #[test]
    fn a_name_is_spelled_with_what_tract_opl_can_read() {
        assert_eq!(spell("/fc/Gemm.0"), "n__fc_Gemm_0");
        assert_eq!(spell("3x"), "n_3x");
        assert_eq!(spell("true_label"), "n_true_label");
        assert_eq!(spell("größe"), "gr__e");
    }
}
