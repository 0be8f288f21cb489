//! Trees of an ensemble.
//!
//! Branches that no input reaches and trees that branch alike go first, which changes nothing. Of the other trees those go
//! that what is left makes up for best; then the leaves of those that are left are fitted, by least squares that hold on to
//! what the leaves are, to the scores that all trees gave.

mod fit;
mod pool;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow, bail, ensure};
use emberlite::ops::tree_ensemble::forest::{Flat, Forest, Threshold};
use emberlite::ops::tree_ensemble::{Aggregate, Ensemble, TreeEnsemble};
use tract_core::internal::*;

use super::watch::{Note, watched};
use super::{Context, Outcome};
use crate::quantize::Keep;
use crate::texts::spread;
use pool::{Join, Pool};

/// How many rows the leaves are fitted to.
const ROWS: usize = 1024;

/// Takes trees out of ensembles.
pub(super) fn prune(model: &TypedModel, context: &Context<'_>) -> Result<Outcome> {
    let ensembles = model.nodes().iter().filter(|node| node.op_is::<TreeEnsemble>());
    let names: Vec<String> = ensembles.map(|node| node.name.clone()).collect();
    let kept = Keep::new(context.step.keep.clone()).choose(&names, &BTreeMap::new())?;
    let free: Vec<&String> = names.iter().filter(|name| !kept.contains(name)).collect();
    let seen: BTreeMap<&String, Arc<Rows>> = free.iter().map(|name| (*name, Arc::new(Rows::default()))).collect();
    let notes = seen.iter().map(|(name, rows)| ((*name).clone(), rows.clone() as Arc<dyn Note>)).collect();
    context.calibration.run(&watched(model, &notes)?, context.progress)?;

    let mut outcome = Outcome { model: model.clone(), units: 0, removed: 0 };
    for name in free {
        let id = model.node_id_by_name(name).map_err(|error| anyhow!("{error:#}"))?;
        let op = model.node(id).op_as::<TreeEnsemble>().context("expected an ensemble")?;
        let rows = seen.get(name).context("an ensemble was not observed")?;
        let smaller = match op {
            TreeEnsemble::Single(ensemble) => Shrunk::of(ensemble, rows, context)?.map(|new| {
                outcome.count(&new);
                TreeEnsemble::Single(Arc::new(new.ensemble))
            }),
            TreeEnsemble::Double(ensemble) => Shrunk::of(ensemble, rows, context)?.map(|new| {
                outcome.count(&new);
                TreeEnsemble::Double(Arc::new(new.ensemble))
            }),
        };
        if let Some(smaller) = smaller {
            let patch = TypedModelPatch::replace_single_op(model, model.node(id), &model.node(id).inputs, smaller);
            let patched = patch.and_then(|patch| patch.apply(&mut outcome.model));
            patched.map_err(|error| anyhow!("{name} can't be made smaller: {error:#}"))?;
        }
    }
    outcome.model.compact().map_err(|error| anyhow!("{error:#}"))?;
    Ok(outcome)
}

impl Outcome {
    fn count<T>(&mut self, shrunk: &Shrunk<T>) {
        self.units += shrunk.before;
        self.removed += shrunk.before - shrunk.after;
    }
}

/// An ensemble of fewer trees.
struct Shrunk<T> {
    ensemble: Ensemble<T>,
    before: usize,
    after: usize,
}

impl<T: Threshold> Shrunk<T> {
    /// None of an ensemble of one tree.
    fn of(ensemble: &Ensemble<T>, rows: &Rows, context: &Context<'_>) -> Result<Option<Self>> {
        let before = ensemble.forest().trees();
        if before < 2 {
            return Ok(None);
        }
        let wanted = before - context.step.amount.of(before);
        let mut flat = simplified(ensemble, false)?;
        let aggregate = ensemble.aggregate();
        let adds = matches!(aggregate, Aggregate::Sum | Aggregate::Average);
        if flat.roots.len() > wanted {
            ensure!(adds, "only trees that are alike can go where the {aggregate:?} of all counts");
            let (rows, width) = rows.of::<T>()?;
            flat = fit::fewer(&flat, &rows, width, wanted, ensemble.has_negative_weights())?;
        }
        let after = flat.roots.len();
        if aggregate == Aggregate::Average {
            let factor = after as f32 / before as f32;
            flat.weights.iter_mut().for_each(|weight| *weight = T::from_f32(weight.to_f32() * factor));
        }
        let ensemble = checked(ensemble, &shared(&flat)?)?;
        Ok(Some(Self { ensemble, before, after }))
    }
}

/// The trees without what can go without a change, but for the order of additions.
fn simplified<T: Threshold>(ensemble: &Ensemble<T>, leaves_shared: bool) -> Result<Flat<T>> {
    let (mut pool, roots) = Pool::of(&ensemble.forest().to_flat())?;
    let roots = pool.reached(&roots);
    let join: Join<T> = match ensemble.aggregate() {
        Aggregate::Sum | Aggregate::Average => |mut one, other| {
            one += other;
            one
        },
        Aggregate::Min => |one, other| if other < one { other } else { one },
        Aggregate::Max => |one, other| if other > one { other } else { one },
    };
    let merged = pool.merged(&roots, join);
    pool.flat(&merged, leaves_shared)
}

/// The trees with leaves that weigh the same held once.
fn shared<T: Threshold>(flat: &Flat<T>) -> Result<Flat<T>> {
    let (pool, roots) = Pool::of(flat)?;
    pool.flat(&roots, true)
}

fn checked<T: Threshold>(ensemble: &Ensemble<T>, flat: &Flat<T>) -> Result<Ensemble<T>> {
    let forest = Forest::new(flat).and_then(|forest| ensemble.with_forest(forest));
    forest.map_err(|error| anyhow!("the smaller ensemble can't be used: {error:#}"))
}

/// The rows that an ensemble reads.
#[derive(Debug, Default)]
struct Rows(Mutex<Vec<Tensor>>);

impl Note for Rows {
    fn note(&self, inputs: &[TValue], _outputs: &[TValue]) -> TractResult<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(inputs[0].clone().into_tensor());
        Ok(())
    }
}

impl Rows {
    /// At most so many as leaves are fitted to, one after the other, and their width.
    fn of<T: Threshold>(&self) -> Result<(Vec<T>, usize)> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows: Vec<Vec<T>> = Vec::new();
        let mut width = 0;
        for tensor in seen.iter() {
            let numbers = tensor.cast_to::<T>().map_err(|error| anyhow!("{error:#}"))?;
            let view = numbers.try_as_plain_ram().map_err(|error| anyhow!("{error:#}"))?;
            width = tensor.shape().last().copied().unwrap_or(0);
            let slice = view.as_slice::<T>().map_err(|error| anyhow!("{error:#}"))?;
            rows.extend(slice.chunks_exact(width.max(1)).map(<[T]>::to_vec));
        }
        if rows.is_empty() {
            bail!("no row went through the trees");
        }
        Ok((spread(rows, ROWS).concat(), width))
    }
}
