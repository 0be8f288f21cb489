//! Feed-forward neurons.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow};
use emberlite::ops::Linear;
use tract_core::prelude::TypedModel;

use super::hidden::{Hidden, hidden};
use super::regression::with_outputs;
use super::rewrite::Rewrite;
use super::sites::{self, Site, layer};
use super::{Context, Outcome};
use crate::quantize::Keep;

/// How many outputs the kernels compute at a time.
const PANEL: usize = 48;

/// Takes neurons out of feed-forward networks.
pub(super) fn prune(model: &TypedModel, context: &Context<'_>) -> Result<Outcome> {
    let found = hidden(model);
    let names = |hidden: &Hidden| hidden.makers.keys().chain([&hidden.reader]).cloned().collect::<Vec<_>>();
    let all: Vec<String> = found.iter().flat_map(names).collect();
    let kept = Keep::new(context.step.keep.clone()).choose(&all, &BTreeMap::new())?;
    let free = |hidden: &Hidden| names(hidden).iter().all(|name| !kept.contains(name));
    let sites: Vec<Box<dyn Site>> =
        found.into_iter().filter(free).map(|hidden| Box::new(hidden) as Box<dyn Site>).collect();
    sites::prune(model, &sites, context)
}

impl Site for Hidden {
    fn reader(&self) -> &str {
        &self.reader
    }

    fn units(&self) -> usize {
        self.width
    }

    fn width(&self) -> usize {
        1
    }

    fn panel(&self) -> usize {
        PANEL
    }

    fn keep(&self, model: &TypedModel, kept: &[usize], reader: Linear) -> Result<TypedModel> {
        let id = |name: &str| model.node_id_by_name(name).map_err(|error| anyhow!("{error:#}"));
        let mut rewrite = Rewrite::default();
        for (maker, copies) in &self.makers {
            let outputs: Vec<usize> =
                (0..*copies).flat_map(|copy| kept.iter().map(move |unit| copy * self.width + unit)).collect();
            let smaller = with_outputs(layer(model, maker)?, &outputs).with_context(|| maker.clone())?;
            rewrite.replace(id(maker)?, smaller);
        }
        rewrite.replace(id(&self.reader)?, reader);
        rewrite.applied(model)
    }
}
