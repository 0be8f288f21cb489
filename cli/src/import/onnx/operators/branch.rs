//! `If`: where a constant decides, only the branch taken is looked at.

use std::collections::HashMap;

use tract_onnx::model::{ParseResult, ParsingContext};
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::infer::{Factoid, InferenceModelExt};
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::logic::IfThenElse;

use super::wire::Built;

pub(super) fn branch(context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    let mut outer: Vec<String> = Vec::new();
    let mut read = |name: &str| -> TractResult<Branch> {
        let ParseResult { model, unresolved_inputs, .. } = context.parse_graph(node.get_attr(name)?)?;
        let mut inputs = Vec::new();
        for input in &unresolved_inputs {
            let index = outer.iter().position(|name| name == input).unwrap_or_else(|| {
                outer.push(input.clone());
                outer.len() - 1
            });
            inputs.push(index + 1);
        }
        Ok(Branch { body: model, inputs })
    };
    let (then, otherwise) = (read("then_branch")?, read("else_branch")?);
    ensure!(
        then.body.outputs.len() == otherwise.body.outputs.len(),
        "the branches of `{}` have {} and {} outputs",
        node.name,
        then.body.outputs.len(),
        otherwise.body.outputs.len()
    );
    Ok((Box::new(If { then, otherwise }), outer))
}

/// A branch, and which of the node's inputs it reads.
#[derive(Clone, Debug)]
struct Branch {
    body: InferenceModel,
    inputs: Vec<usize>,
}

/// Its first input decides; the others are what the branches read from the graph around them.
#[derive(Clone, Debug)]
struct If {
    then: Branch,
    otherwise: Branch,
}

impl PartialEq for If {
    fn eq(&self, _other: &Self) -> bool {
        false
    }
}

impl Eq for If {}

impl Branch {
    fn analyse(&mut self, inputs: &mut [InferenceFact]) -> TractResult<()> {
        for (index, &outer) in self.inputs.iter().enumerate() {
            self.body.input_fact_mut(index)?.unify_with_mut(&mut inputs[outer])?;
        }
        self.body.analyse(false)?;
        for (index, &outer) in self.inputs.iter().enumerate() {
            self.body.input_fact_mut(index)?.unify_with_mut(&mut inputs[outer])?;
        }
        Ok(())
    }

    fn outputs(&self) -> TractResult<Vec<InferenceFact>> {
        (0..self.body.outputs.len()).map(|index| self.body.output_fact(index).cloned()).collect()
    }

    /// Wires the body's nodes into `target`.
    fn inline(&self, prefix: &str, target: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let mut body = self.body.clone();
        for node in &mut body.nodes {
            node.name = format!("{prefix}.{}", node.name);
        }
        let given = body.inputs.iter().zip(&self.inputs).map(|(outlet, &outer)| (*outlet, inputs[outer]));
        let mut mapping: HashMap<OutletId, OutletId> = given.collect();
        for id in body.eval_order()? {
            let node = body.node(id);
            if mapping.contains_key(&OutletId::new(id, 0)) {
                continue;
            }
            let values: Option<Vec<_>> = node.outputs.iter().map(|output| output.fact.value.concretize()).collect();
            let outlets: TVec<OutletId> = match values {
                Some(values) => values
                    .into_iter()
                    .enumerate()
                    .map(|(slot, value)| target.add_const(format!("{}.{slot}", node.name), value))
                    .collect::<TractResult<_>>()?,
                None => node.op.to_typed(&body, node, target, &mapping)?,
            };
            mapping.extend(outlets.into_iter().enumerate().map(|(slot, outlet)| (OutletId::new(id, slot), outlet)));
        }
        Ok(body.outputs.iter().map(|outlet| mapping[outlet]).collect())
    }
}

impl Op for If {
    fn name(&self) -> StaticName {
        "If".into()
    }

    not_a_typed_op!();
}

impl EvalOp for If {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let branch = if inputs[0].cast_to_scalar::<bool>()? { &self.then } else { &self.otherwise };
        let inputs = branch.inputs.iter().map(|&index| inputs[index].clone()).collect();
        branch.body.clone().into_runnable()?.run(inputs)
    }
}

impl InferenceOp for If {
    fn infer_facts(
        &mut self,
        inputs: TVec<&InferenceFact>,
        outputs: TVec<&InferenceFact>,
        observed: TVec<&InferenceFact>,
    ) -> TractResult<(TVec<InferenceFact>, TVec<InferenceFact>, TVec<InferenceFact>)> {
        let mut inputs: TVec<InferenceFact> = inputs.into_iter().cloned().collect();
        let mut outputs: TVec<InferenceFact> = outputs.into_iter().cloned().collect();
        inputs[0].datum_type.unify_with(&bool::datum_type().into())?;
        match inputs[0].value.concretize() {
            Some(condition) => {
                let taken = if condition.cast_to_scalar::<bool>()? { &mut self.then } else { &mut self.otherwise };
                taken.analyse(&mut inputs)?;
                for (output, mut fact) in outputs.iter_mut().zip(taken.outputs()?) {
                    output.unify_with_mut(&mut fact)?;
                }
            }
            None => self.agree(&inputs, &mut outputs)?,
        }
        Ok((inputs, outputs, observed.into_iter().cloned().collect()))
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.then.body.outputs.len())
    }

    fn to_typed(
        &self,
        _source: &InferenceModel,
        node: &InferenceNode,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
    ) -> TractResult<TVec<OutletId>> {
        let inputs: TVec<OutletId> = node.inputs.iter().map(|input| mapping[input]).collect();
        if let Some(condition) = &target.outlet_fact(inputs[0])?.konst {
            let taken = if condition.cast_to_scalar::<bool>()? { &self.then } else { &self.otherwise };
            return taken.inline(&node.name, target, &inputs);
        }
        let op = IfThenElse {
            then_body: self.then.body.clone().into_typed()?,
            then_input_mapping: self.then.inputs.clone(),
            else_body: self.otherwise.body.clone().into_typed()?,
            else_input_mapping: self.otherwise.inputs.clone(),
        };
        target.wire_node(&node.name, op, &inputs)
    }

    as_op!();
}

impl If {
    /// Tells of the outputs what both branches agree on, as far as they can be understood: the one that is not taken,
    /// once the condition is known, may be none that can.
    fn agree(&mut self, inputs: &[InferenceFact], outputs: &mut [InferenceFact]) -> TractResult<()> {
        let understood = |branch: &Branch| {
            let mut branch = branch.clone();
            branch.analyse(&mut inputs.to_vec()).ok().and_then(|()| branch.outputs().ok())
        };
        let (Some(then), Some(otherwise)) = (understood(&self.then), understood(&self.otherwise)) else {
            return Ok(());
        };
        for ((output, mut then), mut otherwise) in outputs.iter_mut().zip(then).zip(otherwise) {
            if then.datum_type.is_concrete() && then.datum_type == otherwise.datum_type {
                output.datum_type.unify_with_mut(&mut then.datum_type)?;
            }
            if then.shape.is_concrete() && then.shape == otherwise.shape {
                output.shape.unify_with_mut(&mut otherwise.shape)?;
            }
        }
        Ok(())
    }
}
