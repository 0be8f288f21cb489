//! A graph without some of its channels.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Result, anyhow};
use emberlite::ops::Linear;
use tract_core::internal::translator::Translate;
use tract_core::internal::*;
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::change_axes::AxisOp;
use tract_core::ops::cnn::{Conv, MaxPool, SumPool};
use tract_core::ops::konst::Const;
use tract_core::prelude::tract_ndarray::Axis;

use super::super::regression::{like, with_outputs};
use super::units::Units;

/// What is taken out of a graph.
pub(super) struct Cut<'a> {
    pub(super) model: &'a TypedModel,
    pub(super) units: &'a Units<'a>,
    pub(super) gone: &'a BTreeSet<usize>,
    /// Layers that read what is left, with all their outputs, by node.
    pub(super) fitted: &'a BTreeMap<usize, Linear>,
}

/// Operators by the node they go to. Every other node is wired anew, so that its shape follows from theirs.
#[derive(Debug, Default)]
struct Rewrite(BTreeMap<usize, Box<dyn TypedOp>>);

impl Rewrite {
    fn replace(&mut self, node: usize, op: impl Into<Box<dyn TypedOp>>) {
        self.0.insert(node, op.into());
    }
}

impl Translate<TypedFact, Box<dyn TypedOp>, TypedFact, Box<dyn TypedOp>> for Rewrite {
    fn translate_node(
        &self,
        _source: &TypedModel,
        node: &TypedNode,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
    ) -> TractResult<TVec<OutletId>> {
        let inputs: TVec<OutletId> = node.inputs.iter().map(|input| mapping[input]).collect();
        target.wire_node(&node.name, self.0.get(&node.id).unwrap_or(&node.op).clone(), &inputs)
    }
}

/// Which places of an axis are left.
struct Left {
    axis: usize,
    places: Vec<usize>,
}

impl Cut<'_> {
    /// The graph without the channels.
    pub(super) fn applied(&self) -> Result<TypedModel> {
        let mut rewrite = Rewrite::default();
        for node in self.model.nodes() {
            let cut = self.node(node, &mut rewrite).map_err(|error| anyhow!("{error:#}"));
            cut.with_context(|| format!("{} can't be made smaller", node.name))?;
        }
        let smaller = rewrite.translate_model(self.model);
        smaller.map_err(|error| anyhow!("the smaller layers do not fit together: {error:#}"))
    }

    fn node(&self, node: &TypedNode, rewrite: &mut Rewrite) -> TractResult<()> {
        let read = node.inputs.first().and_then(|input| self.left(*input));
        let made = self.left(node.id.into());
        if let Some(conv) = node.op_as::<Conv>() {
            return self.conv(node, conv, read, made, rewrite);
        }
        if let Some(linear) = node.op_as::<Linear>() {
            let last = self.model.outlet_fact(node.inputs[0])?.rank() - 1;
            let mut smaller = match self.fitted.get(&node.id) {
                Some(fitted) => like(linear, &fitted.dense(), fitted.inputs(), fitted.bias()).map_err(message)?,
                None => linear.clone(),
            };
            if let Some(made) = made.filter(|made| made.axis == last) {
                smaller = with_outputs(&smaller, &made.places).map_err(message)?;
            }
            rewrite.replace(node.id, smaller);
            return Ok(());
        }
        let Some(left) = made else { return Ok(()) };
        let channels = left.places.len();
        if let Some(pool) = node.op_as::<MaxPool>() {
            let mut pool = pool.clone();
            (pool.pool_spec.input_channels, pool.pool_spec.output_channels) = (channels, channels);
            rewrite.replace(node.id, pool);
        } else if let Some(pool) = node.op_as::<SumPool>() {
            let mut pool = pool.clone();
            (pool.pool_spec.input_channels, pool.pool_spec.output_channels) = (channels, channels);
            rewrite.replace(node.id, pool);
        } else if let Some(AxisOp::Reshape(at, from, to)) = node.op_as::<AxisOp>() {
            let (mut from, mut to) = (from.clone(), to.clone());
            if let Some(size) = read.and_then(|read| Some((from.get_mut(read.axis.checked_sub(*at)?)?, read))) {
                *size.0 = size.1.places.len().to_dim();
            }
            if let Some(size) = left.axis.checked_sub(*at).and_then(|axis| to.get_mut(axis)) {
                *size = channels.to_dim();
            }
            rewrite.replace(node.id, AxisOp::Reshape(*at, from, to));
        } else if node.op_is::<TypedBinOp>() {
            for input in &node.inputs {
                let wide = self.model.outlet_fact(*input)?.shape[left.axis] != 1.to_dim();
                if self.model.node(input.node).op_is::<Const>() && wide {
                    let smaller = selected(self.constant(*input)?, left.axis, &left.places)?;
                    rewrite.replace(input.node, Const::new(smaller.into_arc_tensor())?);
                }
            }
        }
        Ok(())
    }

    fn conv(
        &self,
        node: &TypedNode,
        conv: &Conv,
        read: Option<Left>,
        made: Option<Left>,
        rewrite: &mut Rewrite,
    ) -> TractResult<()> {
        let mut conv = conv.clone();
        let mut kernel = self.constant(node.inputs[1])?.clone();
        let mut bias = self.constant(node.inputs[2])?.clone();
        if let Some(read) = read {
            conv.pool_spec.input_channels = read.places.len();
            if conv.group > 1 {
                conv.group = read.places.len();
            }
        }
        if let Some(fitted) = self.fitted.get(&node.id) {
            let mut shape: TVec<usize> = kernel.shape().into();
            shape[1] = conv.pool_spec.input_channels;
            kernel = Tensor::from_shape(&shape, &fitted.dense())?;
            bias = tensor1(fitted.bias());
        }
        if let Some(made) = made {
            conv.pool_spec.output_channels = made.places.len();
            kernel = selected(&kernel, 0, &made.places)?;
            bias = selected(&bias, 0, &made.places)?;
        }
        rewrite.replace(node.inputs[1].node, Const::new(kernel.into_arc_tensor())?);
        rewrite.replace(node.inputs[2].node, Const::new(bias.into_arc_tensor())?);
        rewrite.replace(node.id, conv);
        Ok(())
    }

    fn left(&self, outlet: OutletId) -> Option<Left> {
        let along = self.units.along(outlet)?;
        let stays = |place: &usize| !self.gone.contains(&along.units[*place]);
        let places: Vec<usize> = (0..along.units.len()).filter(stays).collect();
        (places.len() < along.units.len()).then_some(Left { axis: along.axis, places })
    }

    fn constant(&self, outlet: OutletId) -> TractResult<&Tensor> {
        let constant = self.model.node(outlet.node).op_as::<Const>();
        constant.map(|constant| &**constant.val()).context("expected a constant")
    }
}

fn selected(tensor: &Tensor, axis: usize, places: &[usize]) -> TractResult<Tensor> {
    Ok(tensor.to_plain_array_view::<f32>()?.select(Axis(axis), places).into_tensor())
}

fn message(error: anyhow::Error) -> TractError {
    TractError::msg(format!("{error:#}"))
}
