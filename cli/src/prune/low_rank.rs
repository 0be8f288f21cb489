//! Linear layers and embeddings as products of two smaller ones.
//!
//! A layer is cut where its outputs vary least for the inputs to calibrate with (Yuan et al. 2023, Wang et al. 2024): the
//! singular values are those of its weights times the root of its inputs' covariance. A table is cut where its rows vary
//! least, each counted as often as it is looked up.

mod factors;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow};
use emberlite::ops::{Embedding, Linear, Lookup};
use tract_core::internal::*;

use super::allot::{Choice, allot};
use super::regression::Reads;
use super::rewrite::Rewrite;
use super::watch::{Note, floats, watched};
use super::{Context, Outcome, sites};
use crate::quantize::Keep;
use factors::Factors;

/// Ranks are multiples of this, as far as they are not smaller.
const STEP: usize = 16;

/// Takes the least singular values out of layers and tables.
pub(super) fn prune(model: &TypedModel, context: &Context<'_>) -> Result<Outcome> {
    let candidates = candidates(model, context)?;
    if candidates.is_empty() {
        return Ok(Outcome { model: model.clone(), units: 0, removed: 0 });
    }
    let notes: Vec<(String, Arc<Seen>)> =
        candidates.iter().map(|node| Ok((node.name.clone(), Arc::new(Seen::of(node)?)))).collect::<Result<_>>()?;
    let watchers = notes.iter().map(|(name, seen)| (name.clone(), seen.clone() as Arc<dyn Note>)).collect();
    context.calibration.run(&watched(model, &watchers)?, context.progress)?;

    context.progress.count("taking layers apart", candidates.len());
    let mut taken_apart: Vec<(usize, Factors)> = Vec::new();
    for (node, (name, seen)) in candidates.iter().zip(&notes).filter(|(_, (_, seen))| seen.anything()) {
        let factors = seen.factors(node).with_context(|| name.clone())?;
        context.progress.advance();
        if factors.most() > 0 {
            taken_apart.push((node.id, factors));
        }
    }
    let units: usize = taken_apart.iter().map(|(_, factors)| factors.size()).sum();
    let goal = units - context.step.amount.of(units);
    let choices: Vec<Vec<usize>> = taken_apart.iter().map(|(_, factors)| ranks(factors.most())).collect();
    let costs: Vec<Vec<Choice>> =
        taken_apart.iter().zip(&choices).map(|((_, factors), ranks)| costs(factors, ranks)).collect();
    let chosen = allot(&costs, goal);

    let mut rewrite = Rewrite::default();
    let mut names = Vec::new();
    let mut left = 0;
    for (index, (id, factors)) in taken_apart.iter().enumerate() {
        left += costs[index][chosen[index]].size;
        let Some(rank) = choices[index].get(chosen[index]) else { continue };
        rewrite.take_apart(*id, factors.pieces(*rank)?);
        names.push(model.node(*id).name.clone());
    }
    let smaller = rewrite.applied(model)?;
    let model = sites::refit(model, smaller, &names, context)?;
    Ok(Outcome { model, units, removed: units - left })
}

/// The ranks that are tried.
fn ranks(most: usize) -> Vec<usize> {
    if most < 2 * STEP {
        return (1..=most).collect();
    }
    (1..=most / STEP).map(|step| step * STEP).collect()
}

/// A choice for each rank, and that of the whole at the end.
fn costs(factors: &Factors, ranks: &[usize]) -> Vec<Choice> {
    let cut = ranks.iter().map(|rank| Choice { size: factors.size_of(*rank), cost: factors.lost(*rank) });
    cut.chain([Choice { size: factors.size(), cost: 0.0 }]).collect()
}

/// The nodes that can be taken apart: layers and embeddings whose weights nothing else has, but for those that are to stay.
fn candidates<'a>(model: &'a TypedModel, context: &Context<'_>) -> Result<Vec<&'a TypedNode>> {
    let tied: Vec<&Embedding> = model.nodes().iter().filter_map(|node| node.op_as::<Embedding>()).collect();
    let is_tied = |linear: &Linear| {
        let table = emberlite::ops::Table::tied(linear);
        tied.iter().flat_map(|embedding| embedding.tables()).any(|(other, _)| other.is_tied() && *other == table)
    };
    let fits = |node: &&TypedNode| {
        node.op_as::<Linear>().is_some_and(|linear| !is_tied(linear))
            || node.op_as::<Embedding>().is_some_and(|embedding| main_table(embedding).is_some())
    };
    let order = model.eval_order().map_err(|error| anyhow!("{error:#}"))?;
    let found: Vec<&TypedNode> = order.into_iter().map(|id| model.node(id)).filter(fits).collect();
    let names: Vec<String> = found.iter().map(|node| node.name.clone()).collect();
    let kept = Keep::new(context.step.keep.clone()).choose(&names, &BTreeMap::new())?;
    Ok(found.into_iter().filter(|node| !kept.contains(&node.name)).collect())
}

/// The table of an embedding that ids choose from and that has most rows; none if it is a layer's.
fn main_table(embedding: &Embedding) -> Option<usize> {
    let tables = embedding.tables().iter().enumerate();
    let looked_up = tables.filter(|(_, (_, lookup))| matches!(lookup, Lookup::Input(_)));
    let (index, (table, _)) = looked_up.max_by_key(|(index, (table, _))| (table.rows(), usize::MAX - index))?;
    (!table.is_tied()).then_some(index)
}

/// What was seen of a node's inputs.
#[derive(Debug)]
enum Seen {
    /// Of a layer's.
    Rows(Mutex<Reads>),
    /// How often each row of a table was looked up, by ids in a slot.
    Ids { slot: usize, counts: Mutex<Vec<usize>> },
}

impl Seen {
    fn of(node: &TypedNode) -> Result<Self> {
        if let Some(linear) = node.op_as::<Linear>() {
            return Ok(Self::Rows(Mutex::new(Reads::new(linear.inputs()))));
        }
        let embedding = node.op_as::<Embedding>().context("expected a layer or an embedding")?;
        let main = main_table(embedding).and_then(|index| embedding.tables().get(index));
        let Some((table, Lookup::Input(slot))) = main else { anyhow::bail!("expected a table that ids choose from") };
        Ok(Self::Ids { slot: *slot, counts: Mutex::new(vec![0; table.rows()]) })
    }

    /// Whether the node was run at all: that which makes logits is not where nobody asks for them.
    fn anything(&self) -> bool {
        match self {
            Self::Rows(reads) => reads.lock().unwrap_or_else(PoisonError::into_inner).rows() > 0,
            Self::Ids { counts, .. } => {
                counts.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|count| *count > 0)
            }
        }
    }

    fn factors(&self, node: &TypedNode) -> Result<Factors> {
        match self {
            Self::Rows(reads) => {
                let linear = node.op_as::<Linear>().context("expected a layer")?;
                Factors::of_layer(linear, &reads.lock().unwrap_or_else(PoisonError::into_inner))
            }
            Self::Ids { counts, .. } => {
                let embedding = node.op_as::<Embedding>().context("expected an embedding")?;
                let main = main_table(embedding).context("expected a table that ids choose from")?;
                let counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
                Factors::of_table(embedding, main, &counts)
            }
        }
    }
}

impl Note for Seen {
    fn note(&self, inputs: &[TValue], _outputs: &[TValue]) -> TractResult<()> {
        match self {
            Self::Rows(reads) => reads.lock().unwrap_or_else(PoisonError::into_inner).add(floats(&inputs[0])?),
            Self::Ids { slot, counts } => {
                let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
                for id in inputs[*slot].try_as_plain_ram()?.as_slice::<i64>()? {
                    if let Some(count) = usize::try_from(*id).ok().and_then(|id| counts.get_mut(id)) {
                        *count += 1;
                    }
                }
            }
        }
        Ok(())
    }
}
