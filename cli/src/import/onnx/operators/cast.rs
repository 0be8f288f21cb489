//! `Cast`: strings where tract has none, and integers that stay integers.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::cast::cast as cast_to;

use emberlite::ops::cast_text::CastText;

use super::wire::Built;

pub(super) fn cast(_context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    Ok((expand(Cast { to: node.get_attr("to")? }), vec![]))
}

/// tract makes every `INT64` a dimension, in case it is one, and then misses operators for it. Only what is a
/// dimension already stays one here.
#[derive(Clone, Debug)]
struct Cast {
    to: DatumType,
}

impl Cast {
    fn result(&self, from: DatumType) -> DatumType {
        if self.to == DatumType::I64 && from == DatumType::TDim { DatumType::TDim } else { self.to }
    }
}

impl Expansion for Cast {
    fn name(&self) -> StaticName {
        "Cast".into()
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
        solver.given(&inputs[0].datum_type, |solver, from| solver.equals(&outputs[0].datum_type, self.result(from)))
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let fact = model.outlet_fact(inputs[0])?;
        let from = fact.datum_type;
        let to = self.result(from);
        if let Some(weights) = fact.konst.as_ref().filter(|_| from.is_number() && to.is_number()) {
            // tract would cast weights that become larger than it likes anew in every run.
            let cast = weights.cast_to_dt(to)?.into_owned();
            return Ok(tvec!(model.add_const(prefix, cast)?));
        }
        if (from == DatumType::String) != (to == DatumType::String) {
            return model.wire_node(prefix, CastText::new(to), inputs);
        }
        model.wire_node(prefix, cast_to(to), inputs)
    }
}
