//! Attention heads.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow};
use emberlite::ops::{Attention, CausalAttention, Linear};
use tract_core::prelude::{TypedModel, TypedNode};

use super::attended::{Attended, attended, has_heads};
use super::regression::with_outputs;
use super::rewrite::Rewrite;
use super::sites::{self, Site, layer};
use super::{Context, Outcome};
use crate::quantize::Keep;

/// Takes heads out of attention.
pub(super) fn prune(model: &TypedModel, context: &Context<'_>) -> Result<Outcome> {
    let found = attended(model);
    let names =
        |found: &Attended| found.makers.iter().chain([&found.attention, &found.reader]).cloned().collect::<Vec<_>>();
    let all: Vec<String> = found.iter().flat_map(names).collect();
    let kept = Keep::new(context.step.keep.clone()).choose(&all, &BTreeMap::new())?;
    let free = |found: &Attended| names(found).iter().all(|name| !kept.contains(name));
    let sites: Vec<Box<dyn Site>> =
        found.into_iter().filter(free).map(|found| Box::new(found) as Box<dyn Site>).collect();
    sites::prune(model, &sites, context)
}

impl Site for Attended {
    fn reader(&self) -> &str {
        &self.reader
    }

    fn units(&self) -> usize {
        self.units
    }

    fn width(&self) -> usize {
        self.queries * self.head_width
    }

    fn panel(&self) -> usize {
        1
    }

    fn keep(&self, model: &TypedModel, kept: &[usize], reader: Linear) -> Result<TypedModel> {
        let node = |name: &str| model.node_by_name(name).map_err(|error| anyhow!("{error:#}"));
        let mut rewrite = Rewrite::default();
        let rows = self.rows();
        if let [maker] = &*self.makers {
            let starts = [0, rows[0], rows[0] + rows[1]];
            let part = |part: usize| self.within(part, kept).into_iter().map(move |row| starts[part] + row);
            let outputs: Vec<usize> = (0..3).flat_map(part).collect();
            rewrite.replace(node(maker)?.id, with_outputs(layer(model, maker)?, &outputs)?);
        } else {
            for (part, maker) in self.makers.iter().enumerate() {
                let smaller = with_outputs(layer(model, maker)?, &self.within(part, kept))?;
                rewrite.replace(node(maker)?.id, smaller);
            }
        }
        self.attend(model, node(&self.attention)?, kept, &mut rewrite)?;
        rewrite.replace(node(&self.reader)?.id, reader);
        rewrite.applied(model)
    }
}

impl Attended {
    /// The attention with these units alone.
    fn attend(&self, model: &TypedModel, node: &TypedNode, kept: &[usize], rewrite: &mut Rewrite) -> Result<()> {
        let heads = kept.len() * self.queries;
        if let Some(op) = node.op_as::<Attention>() {
            for slot in node.inputs.len() - op.masks..node.inputs.len() {
                if has_heads(model, node.inputs[slot], op.heads) == Some(true) {
                    rewrite.select_heads(node.id, slot, kept);
                }
            }
            rewrite.replace(node.id, Attention { heads, ..op.clone() });
            return Ok(());
        }
        let op = node.op_as::<CausalAttention>().with_context(|| format!("{} is no attention", node.name))?;
        let key_heads = if self.own_keys { kept.len() } else { 1 };
        rewrite.replace(node.id, op.with_heads(heads, key_heads).map_err(|reason| anyhow!(reason))?);
        Ok(())
    }
}
