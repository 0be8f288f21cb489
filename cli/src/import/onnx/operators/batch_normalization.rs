//! `BatchNormalization` with parameters that are computed, which is how some converters write a layer norm.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::logic::wire_with_rank_broadcast;
use tract_onnx::tract_hir::tract_core::ops::math::{add, mul, rsqrt, sub};

use super::wire::Built;

pub(super) fn batch_normalization(_context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    Ok((expand(BatchNormalization { epsilon: node.get_attr_opt("epsilon")?.unwrap_or(1e-5) }), vec![]))
}

/// `(x - mean) / sqrt(variance + epsilon) * scale + bias`, by the second axis of `x`. In a graph exported in training
/// mode too: its statistics are those it was trained to.
///
/// Inputs: x of any rank from 2 on, scale, bias, mean and variance `[channels]`.
#[derive(Clone, Debug)]
struct BatchNormalization {
    epsilon: f32,
}

impl Expansion for BatchNormalization {
    fn name(&self) -> StaticName {
        "BatchNormalization".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 5)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
        solver.equals(&inputs[0].shape, &outputs[0].shape)?;
        for parameter in &inputs[1..] {
            solver.equals(&inputs[0].datum_type, &parameter.datum_type)?;
            solver.equals(&parameter.rank, 1)?;
        }
        Ok(())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let fact = model.outlet_fact(inputs[0])?;
        let (rank, datum_type) = (fact.rank(), fact.datum_type);
        ensure!(rank >= 2, "a batch normalization needs two axes, got {rank}");
        let mut parameters: TVec<OutletId> = tvec!();
        for (name, &parameter) in ["scale", "bias", "mean", "variance"].iter().zip(&inputs[1..]) {
            let mut wire = parameter;
            for axis in 2..rank {
                wire = model.wire_node(format!("{prefix}.{name}.{axis}"), AxisOp::Add(1), &[wire])?[0];
            }
            parameters.push(model.wire_node(format!("{prefix}.{name}"), AxisOp::Add(0), &[wire])?[0]);
        }
        let [scale, bias, mean, variance] = parameters[..] else { bail!("expected four parameters") };
        let epsilon = tensor0(self.epsilon).cast_to_dt(datum_type)?.into_owned();
        let epsilon = model.add_const(format!("{prefix}.epsilon"), epsilon)?;
        let safe = wire_with_rank_broadcast(format!("{prefix}.safe"), model, add(), &[variance, epsilon])?[0];
        let deviation = model.wire_node(format!("{prefix}.deviation"), rsqrt(), &[safe])?[0];
        let slope = wire_with_rank_broadcast(format!("{prefix}.slope"), model, mul(), &[deviation, scale])?[0];
        if inputs[1..].iter().all(|input| model.outlet_fact(*input).is_ok_and(|fact| fact.konst.is_some())) {
            // Constants fold, and a convolution takes both into itself.
            let moved = wire_with_rank_broadcast(format!("{prefix}.moved"), model, mul(), &[mean, slope])?[0];
            let intercept = wire_with_rank_broadcast(format!("{prefix}.intercept"), model, sub(), &[bias, moved])?[0];
            let scaled = wire_with_rank_broadcast(format!("{prefix}.scaled"), model, mul(), &[inputs[0], slope])?[0];
            return wire_with_rank_broadcast(prefix, model, add(), &[scaled, intercept]);
        }
        let centred = wire_with_rank_broadcast(format!("{prefix}.centred"), model, sub(), &[inputs[0], mean])?[0];
        let scaled = wire_with_rank_broadcast(format!("{prefix}.scaled"), model, mul(), &[centred, slope])?[0];
        wire_with_rank_broadcast(prefix, model, add(), &[scaled, bias])
    }
}
