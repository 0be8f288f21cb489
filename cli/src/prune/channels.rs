//! Channels of convolutions.
//!
//! The same part of each layer's goes: those that the layers which read them lose least by, once these are fitted anew (as in
//! ThiNet, Luo et al. 2017, and channel pruning, He et al. 2017; the order is the optimal brain surgeon's). The layers are
//! gone through in the graph's order, and each is fitted to what it gave in the model before, while it reads what the
//! pruned layers before it give.

mod cut;
mod patches;
mod prepare;
#[cfg(test)]
mod tests;
mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow, ensure};
use emberlite::ops::Linear;
use tract_core::internal::*;

use super::elimination::{Elimination, Reader};
use super::regression::{Regression, Sums};
use super::watch::{Note, floats, watched};
use super::{Context, Outcome};
use crate::quantize::Keep;
use cut::Cut;
use patches::Patches;
use units::{Group, Units};

/// Takes channels out of convolutions.
pub(super) fn prune(model: &TypedModel, context: &Context<'_>) -> Result<Outcome> {
    let source = prepare::prepared(model)?;
    let groups = free_groups(&source, context)?;
    let mut outcome = Outcome { model: source.clone(), units: 0, removed: 0 };
    for group in &groups {
        let count = context.step.amount.of(group.units.len());
        if count > 0 {
            outcome.model = without(&outcome.model, &source, group, count, context)?;
        }
        outcome.units += group.units.len();
        outcome.removed += count;
    }
    Ok(outcome)
}

/// The groups of channels that may go, and that something reads.
fn free_groups(model: &TypedModel, context: &Context<'_>) -> Result<Vec<Group>> {
    let units = traced(model)?;
    let mut groups = units.groups();
    groups.retain(|group| group.units.len() > 1 && !units.readers(&group.units).is_empty());
    let names: Vec<String> = groups.iter().flat_map(|group| group.makers.iter().cloned()).collect();
    let kept = Keep::new(context.step.keep.clone()).choose(&names, &BTreeMap::new())?;
    groups.retain(|group| !group.makers.iter().any(|maker| kept.contains(maker)));
    Ok(groups)
}

/// A model without so many channels of a group, which is found again by its layers.
fn without(
    model: &TypedModel,
    source: &TypedModel,
    group: &Group,
    count: usize,
    context: &Context<'_>,
) -> Result<TypedModel> {
    let units = traced(model)?;
    let groups = units.groups();
    let group = groups.iter().find(|other| other.makers == group.makers).context("a group of layers is gone")?;
    let readers = units.readers(&group.units);
    let regressions = observed(model, source, &readers, context)?;
    let mut elimination = elimination(model, &units, &group.units, &regressions)?;
    for _ in 0..count {
        elimination.next(|_| true);
    }
    let left: BTreeSet<usize> = elimination.left().iter().map(|place| group.units[*place]).collect();
    let gone: BTreeSet<usize> = group.units.iter().copied().filter(|unit| !left.contains(unit)).collect();
    let mut fitted = BTreeMap::new();
    for (id, regression) in &regressions {
        let columns = columns(model, &units, *id)?;
        let kept: Vec<usize> = (0..columns.len()).filter(|column| !gone.contains(&columns[*column])).collect();
        fitted.insert(*id, regression.fitted(&kept)?);
    }
    Cut { model, units: &units, gone: &gone, fitted: &fitted }.applied()
}

fn traced(model: &TypedModel) -> Result<Units<'_>> {
    Units::of(model).map_err(|error| anyhow!("the channels can't be followed: {error:#}"))
}

/// What layers read in a model that is pruned in part, and what they are to give.
fn observed(
    model: &TypedModel,
    source: &TypedModel,
    readers: &[usize],
    context: &Context<'_>,
) -> Result<BTreeMap<usize, Regression>> {
    let mut wanted = BTreeMap::new();
    for id in readers {
        let name = &model.node(*id).name;
        let node = source.node_by_name(name).map_err(|error| anyhow!("{error:#}"))?;
        wanted.insert(name.clone(), Arc::new(Wanted::of(source, node)?));
    }
    let notes = wanted.iter().map(|(name, note)| (name.clone(), note.clone() as Arc<dyn Note>)).collect();
    context.calibration.run(&watched(source, &notes)?, context.progress)?;
    let mut following = BTreeMap::new();
    for id in readers {
        let name = &model.node(*id).name;
        let wanted = wanted.get(name).context("a layer was not observed")?;
        following.insert(*id, Arc::new(Following::new(model, model.node(*id), wanted.clone())?));
    }
    let notes =
        following.iter().map(|(id, note)| (model.node(*id).name.clone(), note.clone() as Arc<dyn Note>)).collect();
    context.calibration.run(&watched(model, &notes)?, context.progress)?;
    let regression = |(id, note): (&usize, &Arc<Following>)| {
        let sums = note.sums.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((*id, Regression::new(&note.layer, &sums.1).with_context(|| model.node(*id).name.clone())?))
    };
    following.iter().map(regression).collect()
}

fn elimination(
    model: &TypedModel,
    units: &Units<'_>,
    group: &[usize],
    regressions: &BTreeMap<usize, Regression>,
) -> Result<Elimination> {
    let mut readers = Vec::new();
    for (id, regression) in regressions {
        let mut by_unit = vec![Vec::new(); group.len()];
        for (column, unit) in columns(model, units, *id)?.into_iter().enumerate() {
            if let Some(place) = group.iter().position(|other| *other == unit) {
                by_unit[place].push(column);
            }
        }
        let (moments, wanted, power) = regression.moments();
        readers.push(Reader::new(moments, wanted, by_unit, power));
    }
    Ok(Elimination::new(readers, group.len()))
}

/// By input of a layer's weights: the unit that it belongs to.
fn columns(model: &TypedModel, units: &Units<'_>, id: usize) -> Result<Vec<usize>> {
    let node = model.node(id);
    let along = units.along(node.inputs[0]).context("the layer reads no channels")?;
    let inputs = patches::layer(model, node).map_err(|error| anyhow!("{}: {error:#}", node.name))?.inputs();
    let times = inputs / along.units.len().max(1);
    ensure!(
        times * along.units.len() == inputs,
        "{} reads {inputs} inputs of {} channels",
        node.name,
        along.units.len()
    );
    Ok(along.units.into_iter().flat_map(|unit| std::iter::repeat_n(unit, times)).collect())
}

fn of_layer(model: &TypedModel, node: &TypedNode) -> Result<Linear> {
    patches::layer(model, node).map_err(|error| anyhow!("{}: {error:#}", node.name))
}

/// What a layer gives in the source, row after row.
#[derive(Debug)]
struct Wanted {
    layer: Linear,
    patches: Patches,
    rows: Mutex<Vec<f32>>,
}

impl Wanted {
    fn of(model: &TypedModel, node: &TypedNode) -> Result<Self> {
        Ok(Self { layer: of_layer(model, node)?, patches: Patches::of(node), rows: Mutex::default() })
    }
}

impl Note for Wanted {
    fn note(&self, inputs: &[TValue], _outputs: &[TValue]) -> TractResult<()> {
        let given = given(&self.layer, &self.patches.rows(&inputs[0])?)?;
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(floats(&given)?);
        Ok(())
    }
}

fn given(layer: &Linear, read: &[f32]) -> TractResult<TValue> {
    let rows = Tensor::from_shape(&[read.len() / layer.inputs(), layer.inputs()], read)?;
    let mut given = layer.eval(&EvalContext::out_of_plan(), tvec![rows.into_tvalue()])?;
    Ok(given.remove(0))
}

/// Sums of what a layer reads and of what it is to give.
#[derive(Debug)]
struct Following {
    layer: Linear,
    patches: Patches,
    wanted: Arc<Wanted>,
    /// How many of the wanted numbers were met.
    sums: Mutex<(usize, Sums)>,
}

impl Following {
    fn new(model: &TypedModel, node: &TypedNode, wanted: Arc<Wanted>) -> Result<Self> {
        let layer = of_layer(model, node)?;
        let sums = Mutex::new((0, Sums::new(layer.inputs(), layer.outputs())));
        Ok(Self { layer, patches: Patches::of(node), wanted, sums })
    }
}

impl Note for Following {
    fn note(&self, inputs: &[TValue], _outputs: &[TValue]) -> TractResult<()> {
        let read = self.patches.rows(&inputs[0])?;
        let wanted = self.wanted.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let end = sums.0 + read.len() / self.layer.inputs() * self.layer.outputs();
        let wanted = wanted.get(sums.0..end).context("more went through a layer than before")?;
        sums.1.add(&read, wanted);
        sums.0 = end;
        Ok(())
    }
}
