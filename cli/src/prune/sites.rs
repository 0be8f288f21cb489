//! Layers that read units, some of which are taken out: neurons, heads.
//!
//! The layers are gone through in the graph's order. Each is fitted to what it gave in the model before, while it reads
//! what the pruned layers before it give: what those got wrong is made up for on the way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow};
use emberlite::ops::Linear;
use tract_core::internal::*;

use super::regression::{Regression, Sums};
use super::rewrite::Rewrite;
use super::watch::{Note, floats, watched};
use super::{Context, Outcome};

/// A linear layer whose inputs are units of equal width.
pub(super) trait Site {
    /// The name of the layer.
    fn reader(&self) -> &str;

    /// How many units it reads.
    fn units(&self) -> usize;

    /// How many of its inputs a unit is.
    fn width(&self) -> usize;

    /// How many units the kernels like to have together.
    fn panel(&self) -> usize;

    /// The model with these units alone, and `reader` in the place of the layer.
    ///
    /// # Errors
    /// A graph that is otherwise than when the site was found.
    fn keep(&self, model: &TypedModel, kept: &[usize], reader: Linear) -> Result<TypedModel>;
}

/// Takes units out at all sites.
pub(super) fn prune(model: &TypedModel, sites: &[Box<dyn Site>], context: &Context<'_>) -> Result<Outcome> {
    let units = sites.iter().map(|site| site.units()).sum();
    if sites.is_empty() {
        return Ok(Outcome { model: model.clone(), units, removed: 0 });
    }
    let readers: Vec<String> = sites.iter().map(|site| site.reader().to_owned()).collect();
    let targets = targets(model, &readers, context)?;
    let mut pruned = model.clone();
    let mut removed = 0;
    for site in sites {
        let count = count(site.as_ref(), context);
        if count == 0 {
            continue;
        }
        let regression = observed_one(&pruned, site.reader(), &targets, context)?;
        let gone: Vec<usize> = regression.removals(site.width(), count).iter().map(|removal| removal.unit).collect();
        let kept: Vec<usize> = (0..site.units()).filter(|unit| !gone.contains(unit)).collect();
        let width = site.width();
        let columns: Vec<usize> = kept.iter().flat_map(|unit| unit * width..(unit + 1) * width).collect();
        pruned = site.keep(&pruned, &kept, regression.fitted(&columns)?)?;
        removed += gone.len();
    }
    Ok(Outcome { model: pruned, units, removed })
}

/// Fits layers of a pruned model, one after the other, to what they gave in the model before.
pub(super) fn refit(
    model: &TypedModel,
    mut pruned: TypedModel,
    readers: &[String],
    context: &Context<'_>,
) -> Result<TypedModel> {
    if readers.is_empty() {
        return Ok(pruned);
    }
    let targets = targets(model, readers, context)?;
    for reader in readers {
        let regression = observed_one(&pruned, reader, &targets, context)?;
        let id = pruned.node_id_by_name(reader).map_err(|error| anyhow!("{error:#}"))?;
        let all: Vec<usize> = (0..layer(&pruned, reader)?.inputs()).collect();
        let mut rewrite = Rewrite::default();
        rewrite.replace(id, regression.fitted(&all)?);
        pruned = rewrite.applied(&pruned)?;
    }
    Ok(pruned)
}

/// How many units go: what is left fills whole panels, unless that would leave twice as many or none to go.
fn count(site: &dyn Site, context: &Context<'_>) -> usize {
    let wanted = context.step.amount.of(site.units());
    let kept = (site.units() - wanted).next_multiple_of(site.panel());
    let whole = site.units().saturating_sub(kept);
    if 2 * whole > wanted { whole } else { wanted }
}

/// What layers are to give, by their names.
pub(super) type Targets = BTreeMap<String, Arc<Target>>;

/// What layers give in a model, row after row.
pub(super) fn targets(model: &TypedModel, readers: &[String], context: &Context<'_>) -> Result<Targets> {
    let mut targets = BTreeMap::new();
    for reader in readers {
        let node = model.node_by_name(reader).map_err(|error| anyhow!("{error:#}"))?;
        targets.insert(reader.clone(), Arc::new(Target::of(node)));
    }
    let notes = targets.iter().map(|(name, target)| (name.clone(), target.clone() as Arc<dyn Note>)).collect();
    context.calibration.run(&watched(model, &notes)?, context.progress)?;
    Ok(targets)
}

/// What layers read in a model that is pruned in part, and what they are to give; nothing of those that were not run.
pub(super) fn observed(
    model: &TypedModel,
    targets: &Targets,
    context: &Context<'_>,
) -> Result<BTreeMap<String, Regression>> {
    let mut notes: BTreeMap<String, Arc<Following>> = BTreeMap::new();
    for (reader, target) in targets {
        let layer = layer(model, reader)?;
        let sums = Mutex::new((0, Sums::new(layer.inputs(), layer.outputs())));
        notes.insert(reader.clone(), Arc::new(Following { target: target.clone(), sums }));
    }
    let watchers = notes.iter().map(|(name, note)| (name.clone(), note.clone() as Arc<dyn Note>)).collect();
    context.calibration.run(&watched(model, &watchers)?, context.progress)?;
    let mut regressions = BTreeMap::new();
    for (reader, note) in notes {
        let sums = note.sums.lock().unwrap_or_else(PoisonError::into_inner);
        if sums.0 > 0 {
            let regression = Regression::new(layer(model, &reader)?, &sums.1).with_context(|| reader.clone())?;
            regressions.insert(reader, regression);
        }
    }
    Ok(regressions)
}

/// As [`observed`], of one layer, which must be run.
fn observed_one(model: &TypedModel, reader: &str, targets: &Targets, context: &Context<'_>) -> Result<Regression> {
    let target = targets.get(reader).with_context(|| format!("{reader} is not known"))?;
    let targets = Targets::from([(reader.to_owned(), target.clone())]);
    let regression = observed(model, &targets, context)?.remove(reader);
    regression.with_context(|| format!("{reader}: nothing went through the layer"))
}

/// The layer of a node.
///
/// # Errors
/// Another node.
pub(super) fn layer<'a>(model: &'a TypedModel, name: &str) -> Result<&'a Linear> {
    let node = model.node_by_name(name).map_err(|error| anyhow!("{error:#}"))?;
    node.op_as::<Linear>().with_context(|| format!("{name} is no linear layer"))
}

/// What a layer gives: with its residual, but before an activation.
#[derive(Debug)]
pub(super) struct Target {
    /// The layer without activation, where it has one.
    bare: Option<Linear>,
    rows: Mutex<Vec<f32>>,
}

impl Target {
    fn of(node: &TypedNode) -> Self {
        let bare = |layer: &Linear| {
            layer.activation()?;
            Linear::new(&layer.dense(), layer.outputs(), layer.inputs(), Some(layer.bias())).ok()
        };
        Self { bare: node.op_as::<Linear>().and_then(bare), rows: Mutex::new(Vec::new()) }
    }
}

impl Note for Target {
    fn note(&self, inputs: &[TValue], outputs: &[TValue]) -> TractResult<()> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.bare {
            Some(bare) => {
                let outputs = bare.eval(&EvalContext::out_of_plan(), inputs.iter().take(1).cloned().collect())?;
                rows.extend_from_slice(floats(&outputs[0])?);
            }
            None => rows.extend_from_slice(floats(&outputs[0])?),
        }
        Ok(())
    }
}

/// Sums of what a layer reads and of what it is to give: what is wanted of it, less the residual that it will get.
#[derive(Debug)]
struct Following {
    target: Arc<Target>,
    /// How many of the target's numbers were met.
    sums: Mutex<(usize, Sums)>,
}

impl Note for Following {
    fn note(&self, inputs: &[TValue], outputs: &[TValue]) -> TractResult<()> {
        let rows = self.target.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, end) = (sums.0, sums.0 + outputs[0].len());
        let wanted = rows.get(start..end).context("more went through a layer than before")?;
        let read = floats(&inputs[0])?;
        match inputs.get(1).filter(|_| self.target.bare.is_none()) {
            Some(residual) => {
                let wanted: Vec<f32> = wanted.iter().zip(floats(residual)?).map(|(all, given)| all - given).collect();
                sums.1.add(read, &wanted);
            }
            None => sums.1.add(read, wanted),
        }
        sums.0 = end;
        Ok(())
    }
}
