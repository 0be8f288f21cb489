//! `Scaler`, `Binarizer` and `Normalizer`: arithmetic that tract has, under ONNX-ML's names.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::logic::wire_with_rank_broadcast;
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::logic::{comp_eq, comp_gt};
use tract_onnx::tract_hir::tract_core::ops::math::{abs, add, div, mul, sqrt, square, sub};
use tract_onnx::tract_hir::tract_core::ops::nn::{Reduce, Reducer};

use super::wire::{Built, to_type, with_constant};

/// An operator that keeps the shape and makes floats.
#[derive(Clone, Debug)]
enum Elementwise {
    /// `(x - offset) * scale`, by the last axis.
    Scaler { offset: Arc<Tensor>, scale: Arc<Tensor> },
    /// 1 above the threshold, else 0.
    Binarizer { threshold: f32 },
    /// Each row divided by its norm, unless that is 0.
    Normalizer { norm: Norm },
}

#[derive(Clone, Copy, Debug)]
enum Norm {
    Max,
    L1,
    L2,
}

pub(super) fn scaler(_context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    let offset: Vec<f32> = node.get_attr_vec("offset")?;
    let scale: Vec<f32> = node.get_attr_vec("scale")?;
    node.expect(!offset.is_empty() && offset.len() == scale.len(), "as many offsets as scales")?;
    Ok((expand(Elementwise::Scaler { offset: rctensor1(&offset), scale: rctensor1(&scale) }), vec![]))
}

pub(super) fn binarizer(_context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    let threshold = node.get_attr_opt("threshold")?.unwrap_or(0.0);
    Ok((expand(Elementwise::Binarizer { threshold }), vec![]))
}

pub(super) fn normalizer(_context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    let norm = match node.get_attr_opt("norm")?.unwrap_or("MAX") {
        "MAX" => Norm::Max,
        "L1" => Norm::L1,
        "L2" => Norm::L2,
        other => return node.bail_attr("norm", &format!("unknown norm `{other}`")),
    };
    Ok((expand(Elementwise::Normalizer { norm }), vec![]))
}

impl Expansion for Elementwise {
    fn name(&self) -> StaticName {
        "Elementwise".into()
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
        match self {
            Elementwise::Binarizer { .. } => solver.equals(&inputs[0].datum_type, &outputs[0].datum_type),
            _ => solver.equals(&outputs[0].datum_type, DatumType::F32),
        }
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let input = inputs[0];
        let from = model.outlet_fact(input)?.datum_type;
        Ok(tvec!(match self {
            Elementwise::Scaler { offset, scale } => {
                let input = to_type(model, format!("{prefix}.float"), input, DatumType::F32)?;
                let centred = with_constant(model, format!("{prefix}.offset"), sub(), input, offset.clone())?;
                with_constant(model, prefix.to_owned(), mul(), centred, scale.clone())?
            }
            Elementwise::Binarizer { threshold } => {
                let threshold = tensor0(*threshold).cast_to_dt(from)?.into_owned().into_arc_tensor();
                let above =
                    with_constant(model, format!("{prefix}.above"), TypedBinOp(comp_gt(), None), input, threshold)?;
                to_type(model, prefix.to_owned(), above, from)?
            }
            Elementwise::Normalizer { norm } => {
                let input = to_type(model, format!("{prefix}.float"), input, DatumType::F32)?;
                normalize(prefix, model, input, *norm)?
            }
        }))
    }
}

/// A row whose norm is 0 stays as it is: adding 1 to a zero norm divides it by 1.
fn normalize(prefix: &str, model: &mut TypedModel, input: OutletId, norm: Norm) -> TractResult<OutletId> {
    let axis = model.outlet_fact(input)?.rank().checked_sub(1).context("a normalizer needs rows")?;
    let (each, reducer) = match norm {
        Norm::Max => (None, Reducer::Max),
        Norm::L1 => (Some(abs()), Reducer::Sum),
        Norm::L2 => (Some(square()), Reducer::Sum),
    };
    let mut wire = input;
    if let Some(each) = each {
        wire = model.wire_node(format!("{prefix}.each"), each, &[wire])?[0];
    }
    wire = model.wire_node(format!("{prefix}.norm"), Reduce::new(tvec!(axis), reducer), &[wire])?[0];
    if let Norm::L2 = norm {
        wire = model.wire_node(format!("{prefix}.root"), sqrt(), &[wire])?[0];
    }
    let zero = with_constant(model, format!("{prefix}.zero"), TypedBinOp(comp_eq(), None), wire, rctensor0(0f32))?;
    let one = to_type(model, format!("{prefix}.one"), zero, DatumType::F32)?;
    let divisor = model.wire_node(format!("{prefix}.divisor"), add(), &[wire, one])?[0];
    Ok(wire_with_rank_broadcast(prefix, model, div(), &[input, divisor])?[0])
}
