//! Whole layers.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow};
use emberlite::ops::CausalAttention;
use tract_core::prelude::{TypedModel, TypedNode};

use super::attended::attended;
use super::hidden::hidden;
use super::rewrite::Rewrite;
use super::stream::{Layer, layers};
use super::{Context, Outcome, sites};
use crate::quantize::Keep;

/// Takes whole layers out, one after the other, each the one that is missed least. Those after them are fitted anew.
pub(super) fn prune(model: &TypedModel, context: &Context<'_>) -> Result<Outcome> {
    let all = layers(model);
    let mut left = free(all.clone(), context)?;
    // One layer stays in any case.
    let spare = left.len().min(all.len().saturating_sub(1));
    let units = if spare > 0 { left.len() } else { 0 };
    let count = ((units as f64 * context.step.amount.get()).round() as usize).min(spare);
    let mut pruned = model.clone();
    let mut first = None;
    for removed in 0..count {
        context.progress.count(format!("trying without each layer, {} of {count}", removed + 1), left.len());
        let mut best: Option<(f64, usize, TypedModel)> = None;
        for (index, layer) in left.iter().enumerate() {
            let without = without(&pruned, layer)?;
            let loss = context.calibration.loss(&without)?;
            if best.as_ref().is_none_or(|(least, ..)| loss < *least) {
                best = Some((loss, index, without));
            }
            context.progress.advance();
        }
        let (_, index, without) = best.context("no layer is left")?;
        let gone = left.remove(index);
        first = first.into_iter().chain([index]).min();
        pruned = without;
        // What is left has other ids now.
        let names: Vec<String> = left.iter().map(|layer| layer.name.clone()).collect();
        left = layers(&pruned).into_iter().filter(|layer| names.contains(&layer.name)).collect();
        tracing::debug!(layer = gone.name, "taken out");
    }
    let Some(first) = first else { return Ok(Outcome { model: pruned, units, removed: 0 }) };
    let after: Vec<&String> = left.iter().skip(first).flat_map(|layer| &layer.nodes).collect();
    let order = pruned.eval_order().map_err(|error| anyhow!("{error:#}"))?;
    let read = attended(&pruned).into_iter().map(|site| site.reader);
    let read: Vec<String> = read.chain(hidden(&pruned).into_iter().map(|site| site.reader)).collect();
    let named = order.iter().map(|id| &pruned.node(*id).name);
    let readers: Vec<String> = named.filter(|name| read.contains(name) && after.contains(name)).cloned().collect();
    let model = sites::refit(model, pruned, &readers, context)?;
    Ok(Outcome { model, units, removed: count })
}

/// The layers without those that are to stay.
fn free(layers: Vec<Layer>, context: &Context<'_>) -> Result<Vec<Layer>> {
    let all: Vec<String> = layers.iter().flat_map(|layer| layer.nodes.clone()).collect();
    let kept = Keep::new(context.step.keep.clone()).choose(&all, &BTreeMap::new())?;
    Ok(layers.into_iter().filter(|layer| layer.nodes.iter().all(|name| !kept.contains(name))).collect())
}

/// The model without a layer; what keeps a cache is numbered anew.
fn without(model: &TypedModel, layer: &Layer) -> Result<TypedModel> {
    let mut shortened = Rewrite::default();
    shortened.shunt(layer.to, layer.from);
    let shortened = shortened.applied(model)?;
    let cached = |node: &TypedNode| Some((node.id, node.op_as::<CausalAttention>()?.clone()));
    let mut attentions: Vec<(usize, CausalAttention)> = shortened.nodes().iter().filter_map(cached).collect();
    attentions.sort_by_key(|(_, attention)| attention.layer());
    let mut numbered = Rewrite::default();
    for (number, (id, attention)) in attentions.into_iter().enumerate() {
        numbered.replace(id, attention.with_layer(number));
    }
    numbered.applied(&shortened)
}
