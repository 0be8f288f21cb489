//! A graph in which channels can be taken out: convolutions that tract has as products are convolutions again, and
//! every layer has its constants to itself.

use std::collections::HashMap;

use anyhow::{Result, anyhow};
use tract_core::internal::translator::Translate;
use tract_core::internal::*;
use tract_core::ops::cnn::{Conv, KernelFormat, PaddingSpec, PoolSpec};
use tract_core::ops::einsum::EinSum;
use tract_core::ops::konst::Const;
use tract_core::ops::nn::DataFormat;

/// A model that computes the same. Tract's simplification turns it back.
pub(super) fn prepared(model: &TypedModel) -> Result<TypedModel> {
    Prepare.translate_model(model).map_err(|error| anyhow!("the layers can't be told apart: {error:#}"))
}

#[derive(Debug)]
struct Prepare;

impl Translate<TypedFact, Box<dyn TypedOp>, TypedFact, Box<dyn TypedOp>> for Prepare {
    fn translate_node(
        &self,
        source: &TypedModel,
        node: &TypedNode,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
    ) -> TractResult<TVec<OutletId>> {
        if let Some((x, conv, kernel, bias)) = convolution(source, node)? {
            let kernel = target.add_const(format!("{}_kernel", node.name), kernel)?;
            let bias = target.add_const(format!("{}_bias", node.name), bias)?;
            return target.wire_node(&node.name, conv, &[mapping[&x], kernel, bias]);
        }
        let mut inputs: TVec<OutletId> = node.inputs.iter().map(|input| mapping[input]).collect();
        for (slot, input) in node.inputs.iter().enumerate() {
            let constant = source.node(input.node);
            let Some(value) = constant.op_as::<Const>().map(Const::val) else { continue };
            let bias = node.op_as::<Conv>().filter(|_| slot == 2).map(|conv| conv.output_channels());
            let shared = constant.outputs[0].successors.len() > 1 && value.len() > 1;
            let value = match bias.filter(|_| value.rank() == 0 && value.datum_type() == f32::datum_type()) {
                Some(outputs) => value.broadcast_scalar_to_shape(&[outputs])?.into_arc_tensor(),
                None if shared => value.clone(),
                None => continue,
            };
            inputs[slot] = target.add_const(format!("{}_of_{}_{slot}", constant.name, node.name), value)?;
        }
        target.wire_node(&node.name, node.op.clone(), &inputs)
    }
}

/// A product over the second axis of an image with a constant, as a convolution: its input, its kernel and its bias.
fn convolution(model: &TypedModel, node: &TypedNode) -> TractResult<Option<(OutletId, Conv, Tensor, Tensor)>> {
    rule_if_some!(op = node.op_as::<EinSum>());
    rule_if!(op.q_params.is_none() && node.inputs.len() == 2 && op.operating_dt == f32::datum_type());
    let constant = |slot: usize| model.node(node.inputs[slot].node).op_as::<Const>().map(Const::val);
    let (x, w) = match [constant(0), constant(1)] {
        [None, Some(_)] => (0, 1),
        [Some(_), None] => (1, 0),
        _ => return Ok(None),
    };
    rule_if_some!(weight = constant(w).filter(|weight| weight.rank() == 2));
    let shape = &model.outlet_fact(node.inputs[x])?.shape;
    let rank = shape.rank();
    rule_if!(rank >= 3 && model.outlet_fact(node.id.into())?.rank() == rank);
    let at = |places: &TVec<usize>| if places.len() > 1 { None } else { Some(places.first().copied()) };
    let (mut inputs, mut outputs) = (None, None);
    for axis in op.axes.iter_all_axes() {
        rule_if_some!(in_x = at(&axis.inputs[x]));
        rule_if_some!(in_w = at(&axis.inputs[w]));
        rule_if_some!(in_y = at(&axis.outputs[0]));
        match (in_x, in_w, in_y) {
            (Some(1), Some(place), None) => inputs = Some(place),
            (None, Some(place), Some(1)) => outputs = Some(place),
            (Some(x), None, Some(y)) if x == y && x != 1 => {}
            _ => return Ok(None),
        }
    }
    rule_if!(inputs.is_some());
    rule_if_some!(outputs = outputs);
    let kernel = weight.as_ref().clone();
    let mut kernel = if outputs == 0 { kernel } else { kernel.permute_axes(&[1, 0])? };
    let (outputs, inputs) = (kernel.shape()[0], kernel.shape()[1]);
    (2..rank).try_for_each(|axis| kernel.insert_axis(axis))?;
    let pool_spec = PoolSpec {
        data_format: DataFormat::NCHW,
        kernel_shape: tvec![1; rank - 2],
        padding: PaddingSpec::Valid,
        dilations: None,
        strides: None,
        input_channels: inputs,
        output_channels: outputs,
    };
    let conv = Conv { pool_spec, kernel_fmt: KernelFormat::OIHW, group: 1, q_params: None };
    Ok(Some((node.inputs[x], conv, kernel, Tensor::zero::<f32>(&[outputs])?)))
}
