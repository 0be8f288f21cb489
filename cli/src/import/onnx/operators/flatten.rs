//! `Flatten` of a shape with more than one symbol: tract's refuses a product of two, though it can hold one.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::change_axes::to_axis_ops_with_tf_rules;

use super::wire::Built;

pub(super) fn flatten(_context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    Ok((expand(Flatten { axis: node.get_attr_opt("axis")?.unwrap_or(1) }), vec![]))
}

/// The axes before `axis` become one, and those from it on.
#[derive(Clone, Debug)]
struct Flatten {
    axis: i64,
}

impl Flatten {
    fn shape(&self, shape: &[TDim]) -> TractResult<TVec<TDim>> {
        let rank = shape.len() as i64;
        let axis = if self.axis < 0 { self.axis + rank } else { self.axis };
        ensure!((0..=rank).contains(&axis), "axis {} of {rank} to flatten at", self.axis);
        let (rows, columns) = shape.split_at(axis as usize);
        Ok(tvec!(rows.iter().product(), columns.iter().product()))
    }
}

impl Expansion for Flatten {
    fn name(&self) -> StaticName {
        "Flatten".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
        solver.given(&inputs[0].shape, |solver, shape| {
            solver.equals(&outputs[0].shape, ShapeFactoid::from(self.shape(&shape)?))
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let from = model.outlet_fact(inputs[0])?.shape.to_tvec();
        let to = self.shape(&from)?;
        let mut wire = inputs[0];
        for (index, op) in to_axis_ops_with_tf_rules(&from, &to)?.into_iter().enumerate() {
            wire = model.wire_node(format!("{prefix}.{index}"), op, &[wire])?[0];
        }
        Ok(tvec!(wire))
    }
}
