//! `OneHotEncoder`: categories of strings or integers.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use emberlite::ops::one_hot::OneHot;

use super::wire::Built;

#[derive(Clone, Debug)]
struct OneHotEncoder {
    op: OneHot,
    width: usize,
}

pub(super) fn one_hot_encoder(_context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    let strings: Vec<String> = node.get_attr_opt_vec("cats_strings")?.unwrap_or_default();
    let integers: Vec<i64> = node.get_attr_opt_vec("cats_int64s")?.unwrap_or_default();
    let zeros = node.get_attr_opt::<i64>("zeros")?.unwrap_or(1) != 0;
    let encoder = match (strings.is_empty(), integers.is_empty()) {
        (false, true) => OneHotEncoder { width: strings.len(), op: OneHot::of_strings(strings, zeros) },
        (true, false) => OneHotEncoder { width: integers.len(), op: OneHot::of_integers(integers, zeros) },
        _ => return node.bail("expected either `cats_strings` or `cats_int64s`"),
    };
    Ok((expand(encoder), vec![]))
}

impl Expansion for OneHotEncoder {
    fn name(&self) -> StaticName {
        "OneHotEncoder".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, DatumType::F32)?;
        solver.given(&inputs[0].shape, |solver, mut shape| {
            shape.push(self.width.to_dim());
            solver.equals(&outputs[0].shape, shape)
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.op.clone(), inputs)
    }
}
