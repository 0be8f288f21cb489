//! `Imputer`: a value for what is missing.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::logic::wire_with_rank_broadcast;
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::logic::{Iff, comp_eq};
use tract_onnx::tract_hir::tract_core::ops::math::is_nan;

use super::wire::{Built, with_constant};

/// Puts `values`, one for all columns or one for each, where the input equals `missing`, which may be NaN.
#[derive(Clone, Debug)]
struct Imputer {
    missing: Arc<Tensor>,
    values: Arc<Tensor>,
}

pub(super) fn imputer(_context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    let floats: Vec<f32> = node.get_attr_opt_vec("imputed_value_floats")?.unwrap_or_default();
    let integers: Vec<i64> = node.get_attr_opt_vec("imputed_value_int64s")?.unwrap_or_default();
    let imputer = match (floats.is_empty(), integers.is_empty()) {
        (false, true) => {
            let missing: f32 = node.get_attr_opt("replaced_value_float")?.unwrap_or(0.0);
            Imputer { missing: rctensor0(missing), values: rctensor1(&floats) }
        }
        (true, false) => {
            let missing: i64 = node.get_attr_opt("replaced_value_int64")?.unwrap_or(0);
            Imputer { missing: rctensor0(missing), values: rctensor1(&integers) }
        }
        _ => return node.bail("expected `imputed_value_floats` or `imputed_value_int64s`"),
    };
    Ok((expand(imputer), vec![]))
}

impl Expansion for Imputer {
    fn name(&self) -> StaticName {
        "Imputer".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&inputs[0].shape, &outputs[0].shape)?;
        solver.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
        solver.equals(&inputs[0].datum_type, self.values.datum_type())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let input = inputs[0];
        let is_missing = match self.missing.cast_to_scalar::<f32>()?.is_nan() {
            true => model.wire_node(format!("{prefix}.missing"), is_nan(), &[input])?[0],
            false => with_constant(
                model,
                format!("{prefix}.missing"),
                TypedBinOp(comp_eq(), None),
                input,
                self.missing.clone(),
            )?,
        };
        let values = model.add_const(format!("{prefix}.values"), self.values.clone())?;
        wire_with_rank_broadcast(prefix, model, Iff, &[is_missing, values, input])
    }
}
