//! Integers that are computed from data are integers; only what follows from shapes is a dimension.

use std::collections::HashMap;

use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::model::translator::Translate;
use tract_onnx::tract_hir::tract_core::ops::array::{Gather, GatherElements, GatherNd, Range, TypedConcat};
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::cast::{Cast, cast};
use tract_onnx::tract_hir::tract_core::ops::logic::Iff;

/// `model` with `INT64` wherever a dimension meets integers that only a run can tell.
///
/// tract makes both dimensions then: an element-wise operator on them is slow, some operators have no such case, and
/// some rewrites fail on a symbol among the integers.
pub(super) fn settle(model: &TypedModel) -> TractResult<TypedModel> {
    Settle.translate_model(model)
}

#[derive(Debug)]
struct Settle;

impl Translate<TypedFact, Box<dyn TypedOp>, TypedFact, Box<dyn TypedOp>> for Settle {
    fn translate_node(
        &self,
        source: &TypedModel,
        node: &TypedNode,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
    ) -> TractResult<TVec<OutletId>> {
        let mut inputs: TVec<OutletId> = node.inputs.iter().map(|input| mapping[input]).collect();
        let kinds: TVec<Kind> = inputs.iter().map(|input| kind(target, *input)).collect::<TractResult<_>>()?;
        if node.op_as::<Cast>().is_some_and(|op| op.to == DatumType::TDim) && kinds[..] == [Kind::Integers] {
            return Ok(inputs);
        }
        if kinds.contains(&Kind::Integers) && mixes(node) {
            for (index, input) in inputs.iter_mut().enumerate().filter(|(index, _)| kinds[*index] == Kind::Dimensions) {
                let name = format!("{}.integer_{index}", node.name);
                *input = target.wire_node(name, cast(DatumType::I64), &[*input])?[0];
            }
        } else if inputs.len() > 1 {
            for (index, input) in inputs.iter_mut().enumerate() {
                let wanted = source.outlet_fact(node.inputs[index])?.datum_type;
                if wanted != target.outlet_fact(*input)?.datum_type {
                    let name = format!("{}.dimension_{index}", node.name);
                    *input = target.wire_node(name, cast(wanted), &[*input])?[0];
                }
            }
        }
        if TypedModel::is_source(&node.op) {
            return Ok(tvec!(target.add_source(&node.name, node.outputs[0].fact.clone())?));
        }
        target.wire_node(&node.name, node.op.clone(), &inputs)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `INT64` that only a run can tell.
    Integers,
    Dimensions,
    Other,
}

fn kind(model: &TypedModel, outlet: OutletId) -> TractResult<Kind> {
    let fact = model.outlet_fact(outlet)?;
    Ok(match fact.datum_type {
        DatumType::I64 if fact.konst.is_none() => Kind::Integers,
        DatumType::TDim => Kind::Dimensions,
        _ => Kind::Other,
    })
}

/// Whether the operator wants integers of one type, whichever that is.
fn mixes(node: &TypedNode) -> bool {
    node.op_is::<TypedBinOp>()
        || node.op_is::<Iff>()
        || node.op_is::<TypedConcat>()
        || node.op_is::<Range>()
        || node.op_is::<Gather>()
        || node.op_is::<GatherElements>()
        || node.op_is::<GatherNd>()
}
