//! Single weights of linear layers: what is zero lies in the package as a bit.

use anyhow::Result;
use emberlite_algebra::Block;
use tract_core::prelude::TypedModel;

use super::{Context, Outcome, thin};

/// Holds weights at zero, each by itself.
pub(super) fn prune(model: &TypedModel, context: &Context<'_>) -> Result<Outcome> {
    thin::prune(model, Block { outputs: 1, inputs: 1 }, context)
}
