//! Which channel each part of a graph belongs to: followed from the layers that make channels to those that read them.
//!
//! Channels that meet (in a sum, a product, a convolution by channel) are one unit from then on: they stay or go together.
//! Those that reach something where a channel is more than itself (an output, a softmax over channels, ...) stay.

use std::collections::{BTreeMap, BTreeSet};

use emberlite::ops::{Activate, Linear};
use tract_core::internal::*;
use tract_core::ops::array::{Pad, Slice, TypedConcat};
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::change_axes::AxisOp;
use tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, SumPool};
use tract_core::ops::element_wise::ElementWiseOp;
use tract_core::ops::konst::Const;
use tract_core::ops::nn::{DataFormat, Reduce, Softmax};

/// The channels of an outlet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Along {
    /// The axis that they lie along.
    pub(super) axis: usize,
    /// By place on the axis: the unit.
    pub(super) units: Vec<usize>,
}

/// A graph's channels.
#[derive(Debug)]
pub(super) struct Units<'a> {
    model: &'a TypedModel,
    /// By unit: another one that it is the same as, or itself.
    same: Vec<usize>,
    stays: Vec<bool>,
    along: BTreeMap<OutletId, Along>,
    /// Layers with the units that they make.
    makers: Vec<(usize, Vec<usize>)>,
    /// Layers whose weights meet the units that they read.
    readers: Vec<usize>,
}

/// Units that the same layers make.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// The names of the layers.
    pub(super) makers: Vec<String>,
    /// The units.
    pub(super) units: Vec<usize>,
}

impl<'a> Units<'a> {
    pub(super) fn of(model: &'a TypedModel) -> TractResult<Self> {
        let mut units = Self {
            model,
            same: Vec::new(),
            stays: Vec::new(),
            along: BTreeMap::new(),
            makers: Vec::new(),
            readers: Vec::new(),
        };
        for id in model.eval_order()? {
            let node = model.node(id);
            match units.after(node)? {
                Some(along) => units.along.extend(along.map(|along| (OutletId::new(id, 0), along))),
                None => units.stay(node.inputs.iter().copied()),
            }
        }
        units.stay(model.outputs.iter().copied());
        Ok(units)
    }

    /// The unit that stands for all that are the same.
    pub(super) fn root(&self, mut unit: usize) -> usize {
        while self.same[unit] != unit {
            unit = self.same[unit];
        }
        unit
    }

    /// The channels of an outlet, each by the unit that stands for it.
    pub(super) fn along(&self, outlet: OutletId) -> Option<Along> {
        let along = self.along.get(&outlet)?;
        Some(Along { axis: along.axis, units: along.units.iter().map(|unit| self.root(*unit)).collect() })
    }

    /// The layers whose weights meet one of these units, in the graph's order.
    pub(super) fn readers(&self, units: &[usize]) -> Vec<usize> {
        let reads = |id: &&usize| {
            let input = self.model.node(**id).inputs[0];
            self.along(input).is_some_and(|along| along.units.iter().any(|unit| units.contains(unit)))
        };
        self.readers.iter().filter(reads).copied().collect()
    }

    /// The units that may go, by the layers that make them; of dense layers alone are none.
    pub(super) fn groups(&self) -> Vec<Group> {
        let mut makers: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (maker, units) in &self.makers {
            for unit in units {
                makers.entry(self.root(*unit)).or_default().insert(*maker);
            }
        }
        let mut stays: BTreeSet<usize> = BTreeSet::new();
        stays.extend((0..self.same.len()).filter(|unit| self.stays[*unit]).map(|unit| self.root(unit)));
        let mut groups: BTreeMap<BTreeSet<usize>, Vec<usize>> = BTreeMap::new();
        for (unit, makers) in makers.into_iter().filter(|(unit, _)| !stays.contains(unit)) {
            groups.entry(makers).or_default().push(unit);
        }
        let convolves = |makers: &BTreeSet<usize>| makers.iter().any(|id| self.model.node(*id).op_is::<Conv>());
        let name = |id: &usize| self.model.node(*id).name.clone();
        let groups = groups.into_iter().filter(|(makers, _)| convolves(makers));
        groups.map(|(makers, units)| Group { makers: makers.iter().map(name).collect(), units }).collect()
    }

    fn fresh(&mut self, count: usize) -> Vec<usize> {
        let first = self.same.len();
        self.same.extend(first..first + count);
        self.stays.resize(first + count, false);
        (first..first + count).collect()
    }

    fn join(&mut self, one: &[usize], other: &[usize]) {
        for (one, other) in one.iter().zip(other) {
            let (one, other) = (self.root(*one), self.root(*other));
            self.same[one.max(other)] = one.min(other);
        }
    }

    fn stay(&mut self, outlets: impl Iterator<Item = OutletId>) {
        for outlet in outlets {
            for unit in self.along.get(&outlet).map_or(&[][..], |along| &along.units) {
                self.stays[*unit] = true;
            }
        }
    }

    fn shape(&self, outlet: OutletId) -> TractResult<&'a [TDim]> {
        Ok(self.model.outlet_fact(outlet)?.shape.dims())
    }

    /// A constant that one node alone reads, so that it may be cut.
    fn own_constant(&self, outlet: OutletId) -> Option<&'a Tensor> {
        let node = self.model.node(outlet.node);
        let constant = node.op_as::<Const>()?.val();
        let alone = node.outputs[0].successors.len() == 1 && !self.model.outputs.contains(&outlet);
        (alone && constant.datum_type() == f32::datum_type() && constant.is_plain_ram()).then_some(&**constant)
    }

    /// The channels after a node, if it has any; none where what it reads has to stay.
    fn after(&mut self, node: &'a TypedNode) -> TractResult<Option<Option<Along>>> {
        if node.outputs.len() != 1 {
            return Ok(None);
        }
        if let Some(op) = node.op_as::<Conv>() {
            return Ok(self.after_conv(node, op));
        }
        if let Some(op) = node.op_as::<Linear>() {
            return self.after_linear(node, op);
        }
        if node.op_is::<TypedBinOp>() {
            return self.after_binary(node);
        }
        if let Some(op) = node.op_as::<TypedConcat>() {
            return self.after_concat(node, op.axis);
        }
        let Some((input, others)) = node.inputs.split_first() else { return Ok(Some(None)) };
        if others.iter().any(|other| self.along.contains_key(other)) {
            return Ok(None);
        }
        let Some(along) = self.along.get(input).cloned() else { return Ok(Some(None)) };
        if let Some(op) = node.op_as::<AxisOp>() {
            return Ok(after_axes(op, along).map(Some));
        }
        let passes = if let Some(pool) = node.op_as::<MaxPool>() {
            self.c_axis(*input, pool.pool_spec.data_format) == Some(along.axis)
        } else if let Some(pool) = node.op_as::<SumPool>() {
            self.c_axis(*input, pool.pool_spec.data_format) == Some(along.axis)
        } else if let Some(op) = node.op_as::<Reduce>() {
            !op.axes.contains(&along.axis)
        } else if let Some(op) = node.op_as::<Softmax>() {
            !op.axes.contains(&along.axis)
        } else if let Some(op) = node.op_as::<Pad>() {
            op.pads.get(along.axis) == Some(&(0, 0))
        } else if let Some(op) = node.op_as::<Slice>() {
            op.axis != along.axis
        } else {
            node.op_is::<ElementWiseOp>() || node.op_is::<Activate>()
        };
        Ok((passes && others.is_empty()).then_some(Some(along)))
    }

    fn c_axis(&self, outlet: OutletId, format: DataFormat) -> Option<usize> {
        let shape = self.shape(outlet).ok()?;
        Some(format.shape(shape).ok()?.c_axis())
    }

    fn after_conv(&mut self, node: &'a TypedNode, op: &Conv) -> Option<Option<Along>> {
        let [x, kernel, bias] = node.inputs[..] else { return None };
        let axis = self.c_axis(x, op.pool_spec.data_format)?;
        let known = op.q_params.is_none() && op.kernel_fmt == KernelFormat::OIHW;
        let own = self.own_constant(kernel).is_some() && self.own_constant(bias).is_some();
        let read = self.along.get(&x).cloned();
        if !known || !own || read.as_ref().is_some_and(|along| along.axis != axis) {
            return None;
        }
        if op.group == 1 {
            self.readers.extend(read.is_some().then_some(node.id));
            let units = self.fresh(op.output_channels());
            self.makers.push((node.id, units.clone()));
            return Some(Some(Along { axis, units }));
        }
        // Each channel by itself, once or several times over.
        let read = read.filter(|_| op.group == op.input_channels())?;
        let times = op.output_channels() / op.group;
        let units = read.units.iter().flat_map(|unit| std::iter::repeat_n(*unit, times)).collect();
        Some(Some(Along { axis, units }))
    }

    fn after_linear(&mut self, node: &'a TypedNode, op: &Linear) -> TractResult<Option<Option<Along>>> {
        let last = self.shape(node.inputs[0])?.len() - 1;
        let read = self.along.get(&node.inputs[0]).cloned();
        let residual = node.inputs.get(1).and_then(|residual| self.along.get(residual)).cloned();
        if let Some(read) = read.clone().filter(|read| read.axis != last) {
            let fits = node.inputs.len() == 1 || residual.as_ref().is_some_and(|other| other.axis == read.axis);
            residual.inspect(|other| self.join(&read.units, &other.units));
            return Ok(fits.then_some(Some(read)));
        }
        self.readers.extend(read.is_some().then_some(node.id));
        let units = self.fresh(op.outputs());
        self.makers.push((node.id, units.clone()));
        match residual {
            Some(residual) if residual.axis == last => self.join(&units, &residual.units),
            Some(_) => return Ok(None),
            // What is added is not made of channels that could be taken out of it.
            None if node.inputs.len() > 1 => units.iter().for_each(|unit| self.stays[*unit] = true),
            None => {}
        }
        Ok(Some(Some(Along { axis: last, units })))
    }

    fn after_binary(&mut self, node: &'a TypedNode) -> TractResult<Option<Option<Along>>> {
        let [left, right] = node.inputs[..] else { return Ok(None) };
        let (a, b) = (self.along.get(&left).cloned(), self.along.get(&right).cloned());
        let (along, other) = match (a, b) {
            (None, None) => return Ok(Some(None)),
            (Some(a), Some(b)) => {
                let fits = a.axis == b.axis && a.units.len() == b.units.len();
                self.join(&a.units, &b.units);
                return Ok(fits.then_some(Some(a)));
            }
            (Some(along), None) => (along, right),
            (None, Some(along)) => (along, left),
        };
        let alike = self.shape(other)?.get(along.axis).is_some_and(TDim::is_one);
        Ok((alike || self.own_constant(other).is_some()).then_some(Some(along)))
    }

    fn after_concat(&mut self, node: &'a TypedNode, axis: usize) -> TractResult<Option<Option<Along>>> {
        let all: Vec<Option<Along>> = node.inputs.iter().map(|input| self.along.get(input).cloned()).collect();
        let Some(first) = all.iter().flatten().next().cloned() else { return Ok(Some(None)) };
        if all.iter().flatten().any(|along| along.axis != first.axis) {
            return Ok(None);
        }
        if first.axis != axis {
            let complete = all.iter().all(Option::is_some);
            all.iter().flatten().for_each(|along| self.join(&first.units, &along.units));
            return Ok(complete.then_some(Some(first)));
        }
        let mut units = Vec::new();
        for (along, input) in all.into_iter().zip(&node.inputs) {
            match along {
                Some(along) => units.extend(along.units),
                None => {
                    let Ok(size) = self.shape(*input)?[axis].to_usize() else { return Ok(None) };
                    let strangers = self.fresh(size);
                    strangers.iter().for_each(|unit| self.stays[*unit] = true);
                    units.extend(strangers);
                }
            }
        }
        Ok(Some(Some(Along { axis, units })))
    }
}

/// The channels after an operator that only moves axes.
fn after_axes(op: &AxisOp, along: Along) -> Option<Along> {
    let Along { axis, units } = along;
    let moved = |axis| Some(Along { axis, units: units.clone() });
    match op {
        AxisOp::Add(at) => moved(axis + usize::from(*at <= axis)),
        AxisOp::Rm(at) if *at == axis => None,
        AxisOp::Rm(at) => moved(axis - usize::from(*at < axis)),
        AxisOp::Move(from, to) if *from == axis => moved(*to),
        AxisOp::Move(from, to) => {
            let without = axis - usize::from(*from < axis);
            moved(without + usize::from(*to <= without))
        }
        AxisOp::Reshape(at, _, _) if axis < *at => moved(axis),
        AxisOp::Reshape(at, from, to) if axis >= at + from.len() => moved(axis + to.len() - from.len()),
        AxisOp::Reshape(at, from, to) => {
            // Into one axis, beside others of size 1.
            let sized: Vec<usize> = (0..to.len()).filter(|at| !to[*at].is_one()).collect();
            let [only] = sized[..] else { return None };
            let sizes: Vec<usize> = from.iter().map(|size| size.to_usize().ok()).collect::<Option<_>>()?;
            let inner: usize = sizes[axis - at + 1..].iter().product();
            let count: usize = sizes.iter().product();
            let units = (0..count).map(|place| units[place / inner % units.len()]).collect();
            Some(Along { axis: at + only, units })
        }
    }
}
