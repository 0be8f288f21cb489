//! `TreeEnsembleClassifier` and `TreeEnsembleRegressor`, both as our one operator.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use emberlite::ops::tree_ensemble::Finish;

use super::tree_attributes::Definition;
use super::wire::{Built, Labels};

#[derive(Clone, Debug)]
struct Trees {
    definition: Definition,
    targets: usize,
    /// A classifier's; a regressor has none.
    labels: Option<Labels>,
}

pub(super) fn classifier(context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    let labels = Labels::parse(node, "classlabels_int64s")?;
    let targets = labels.len();
    let definition = Definition::parse(context, node, "class", targets, Finish::Class)?;
    Ok((expand(Trees { definition, targets, labels: Some(labels) }), vec![]))
}

pub(super) fn regressor(context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    let targets: usize = node.get_attr_opt("n_targets")?.unwrap_or(1);
    let definition = Definition::parse(context, node, "target", targets, Finish::Scores)?;
    Ok((expand(Trees { definition, targets, labels: None }), vec![]))
}

impl Expansion for Trees {
    fn name(&self) -> StaticName {
        "TreeEnsemble".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, self.nboutputs()?)?;
        solver.equals(&inputs[0].rank, 2)?;
        let scores = &outputs[outputs.len() - 1];
        solver.equals(&scores.datum_type, DatumType::F32)?;
        solver.equals(&scores.rank, 2)?;
        solver.equals(&scores.shape[0], &inputs[0].shape[0])?;
        solver.equals(&scores.shape[1], self.targets.to_dim())?;
        if let Some(labels) = &self.labels {
            solver.equals(&outputs[0].datum_type, labels.datum_type())?;
            solver.equals(&outputs[0].rank, 1)?;
            solver.equals(&outputs[0].shape[0], &inputs[0].shape[0])?;
        }
        Ok(())
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(if self.labels.is_some() { 2 } else { 1 })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let op = self.definition.build(model.outlet_fact(inputs[0])?.datum_type)?;
        let mut outputs = model.wire_node(prefix, op, inputs)?;
        if let Some(labels) = &self.labels {
            outputs[0] = labels.wire(model, format!("{prefix}.label"), outputs[0])?;
        }
        Ok(outputs)
    }
}
