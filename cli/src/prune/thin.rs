//! Linear layers some of whose weights are held at zero: their shapes stay.
//!
//! The layers are gone through in the graph's order, in stages: each is fitted to what it gave in the model before, while it
//! reads what the layers of earlier stages give by now. Each has the same part of its blocks held.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow};
use emberlite::ops::Linear;
use emberlite_algebra::Block;
use tract_core::prelude::{TypedModel, TypedNode};

use super::rewrite::Rewrite;
use super::sites::{layer, observed, targets};
use super::{Context, Outcome};
use crate::quantize::{Keep, Ties, groups, parallel};

/// How many weights may be run in all stages together.
const WORK: usize = 100_000_000;

/// Holds a part of each layer's blocks at zero.
pub(super) fn prune(model: &TypedModel, block: Block, context: &Context<'_>) -> Result<Outcome> {
    let groups = groups(model, &candidates(model, context)?)?;
    let mut weights = 0;
    for name in groups.iter().flatten() {
        let layer = layer(model, name)?;
        weights += layer.inputs() * layer.outputs();
    }
    let mut outcome = Outcome { model: model.clone(), units: 0, removed: 0 };
    if groups.is_empty() {
        return Ok(outcome);
    }
    let stages = (WORK / weights.max(1)).clamp(1, groups.len());
    for stage in 0..stages {
        let names = groups[groups.len() * stage / stages..groups.len() * (stage + 1) / stages].concat();
        let targets = targets(model, &names, context)?;
        let regressions: Vec<_> = observed(&outcome.model, &targets, context)?.into_iter().collect();
        context.progress.count("fitting what is left of the layers", regressions.len());
        let thinned: Vec<_> = parallel::map(&regressions, |(name, regression)| {
            let thinned = regression.thinned(block, context.step.amount).with_context(|| name.clone())?;
            context.progress.advance();
            Ok((name.clone(), thinned))
        })?;
        let mut rewrite = Rewrite::default();
        for (name, (layer, blocks, held)) in thinned {
            let id = outcome.model.node_id_by_name(&name).map_err(|error| anyhow!("{error:#}"))?;
            rewrite.replace(id, layer);
            outcome.units += blocks;
            outcome.removed += held;
        }
        outcome.model = rewrite.applied(&outcome.model)?;
    }
    Ok(outcome)
}

/// The linear layers whose weights nothing else has, but for those that are to stay.
fn candidates(model: &TypedModel, context: &Context<'_>) -> Result<Vec<String>> {
    let ties = Ties::of(model);
    let own = |node: &&TypedNode| node.op_is::<Linear>() && !ties.has_layer(&node.name);
    let names: Vec<String> = model.nodes().iter().filter(own).map(|node| node.name.clone()).collect();
    let kept = Keep::new(context.step.keep.clone()).choose(&names, &BTreeMap::new())?;
    Ok(names.into_iter().filter(|name| !kept.contains(name)).collect())
}
