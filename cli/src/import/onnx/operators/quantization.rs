//! `QuantizeLinear` and `DequantizeLinear` in plain arithmetic: tract's have no tract-OPL form.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::logic::wire_with_rank_broadcast;
use tract_onnx::tract_hir::tract_core::ops::cast::cast;
use tract_onnx::tract_hir::tract_core::ops::math::{add, div, max, min, mul, round_half_to_even, sub};

use super::wire::{Built, to_type};

pub(super) fn quantize(_context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    Ok((expand(Quantization::parse(node, Direction::ToIntegers)?), vec![]))
}

pub(super) fn dequantize(_context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    Ok((expand(Quantization::parse(node, Direction::ToFloats)?), vec![]))
}

/// Between floats and integers: `integer = clamp(round(float / scale) + zero point)`, `float = (integer - zero point) *
/// scale`, with one scale and zero point for all, or one for each index of `axis`.
///
/// Inputs: the tensor, the scale, and the zero point unless that is 0.
#[derive(Clone, Debug)]
struct Quantization {
    direction: Direction,
    axis: i64,
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    ToIntegers,
    ToFloats,
}

impl Quantization {
    fn parse(node: &NodeProto, direction: Direction) -> TractResult<Quantization> {
        let block = node.get_attr_opt::<i64>("block_size")?.unwrap_or(0);
        node.expect(block == 0, "one scale for an axis rather than for blocks of it")?;
        Ok(Quantization { direction, axis: node.get_attr_opt("axis")?.unwrap_or(1) })
    }

    /// A scale or zero point as a tensor that broadcasts to the rank of what it is for.
    fn parameter(
        &self,
        model: &mut TypedModel,
        name: String,
        parameter: OutletId,
        rank: usize,
        to: DatumType,
    ) -> TractResult<OutletId> {
        let mut wire = to_type(model, format!("{name}.cast"), parameter, to)?;
        if model.outlet_fact(parameter)?.rank() == 0 || rank == 0 {
            return Ok(wire);
        }
        let each = !model.outlet_fact(parameter)?.shape.volume().is_one();
        let axis = if self.axis < 0 { self.axis + rank as i64 } else { self.axis };
        ensure!(!each || (0..rank as i64).contains(&axis), "axis {axis} of {rank} to quantize by");
        let behind = if each { rank - 1 - axis as usize } else { 0 };
        for index in 0..behind {
            wire = model.wire_node(format!("{name}.axis_{index}"), AxisOp::Add(1), &[wire])?[0];
        }
        Ok(wire)
    }
}

impl Expansion for Quantization {
    fn name(&self) -> StaticName {
        "Quantization".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        ensure!((2..=3).contains(&inputs.len()), "expected two or three inputs, got {}", inputs.len());
        check_output_arity(outputs, 1)?;
        solver.equals(&inputs[0].shape, &outputs[0].shape)?;
        match (self.direction, inputs.get(2)) {
            (Direction::ToFloats, _) => solver.equals(&inputs[1].datum_type, &outputs[0].datum_type),
            (Direction::ToIntegers, Some(zero)) => solver.equals(&zero.datum_type, &outputs[0].datum_type),
            (Direction::ToIntegers, None) => solver.equals(&outputs[0].datum_type, DatumType::U8),
        }
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let rank = model.outlet_fact(inputs[0])?.rank();
        let float = model.outlet_fact(inputs[1])?.datum_type;
        let scale = self.parameter(model, format!("{prefix}.scale"), inputs[1], rank, float)?;
        let zero = match inputs.get(2) {
            Some(&zero) => Some(self.parameter(model, format!("{prefix}.zero"), zero, rank, float)?),
            None => None,
        };
        let mut wire = to_type(model, format!("{prefix}.float"), inputs[0], float)?;
        let mut apply = |model: &mut TypedModel, step: &str, op: Box<dyn TypedOp>, right: OutletId| {
            wire = wire_with_rank_broadcast(format!("{prefix}.{step}"), model, op, &[wire, right])?[0];
            TractResult::Ok(wire)
        };
        if let Direction::ToFloats = self.direction {
            if let Some(zero) = zero {
                apply(model, "centred", Box::new(sub()), zero)?;
            }
            return Ok(tvec!(apply(model, "scaled", Box::new(mul()), scale)?));
        }
        let divided = apply(model, "divided", Box::new(div()), scale)?;
        wire = model.wire_node(format!("{prefix}.rounded"), round_half_to_even(), &[divided])?[0];
        let to =
            inputs.get(2).map_or(Ok(DatumType::U8), |zero| model.outlet_fact(*zero).map(|fact| fact.datum_type))?;
        let (low, high) = match to {
            DatumType::U8 => (0.0, 255.0),
            DatumType::I8 => (-128.0, 127.0),
            other => bail!("expected to quantize to 8 bits, got {other:?}"),
        };
        let bound = |model: &mut TypedModel, name: &str, value: f32| {
            let value = tensor0(value).cast_to_dt(float)?.into_owned();
            model.add_const(format!("{prefix}.{name}"), value)
        };
        let (low, high) = (bound(model, "low", low)?, bound(model, "high", high)?);
        let steps = zero.map(|zero| ("moved", Box::new(add()) as Box<dyn TypedOp>, zero)).into_iter();
        for (step, op, right) in steps.chain([
            ("above", Box::new(max()) as Box<dyn TypedOp>, low),
            ("below", Box::new(min()) as Box<dyn TypedOp>, high),
        ]) {
            wire = wire_with_rank_broadcast(format!("{prefix}.{step}"), model, op, &[wire, right])?[0];
        }
        model.wire_node(prefix, cast(to), &[wire])
    }
}
