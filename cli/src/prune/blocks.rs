//! Blocks of linear layers that an int8 kernel can leave out.

use anyhow::Result;
use emberlite::ops::Linear;
use emberlite_algebra::Block;
use tract_core::prelude::TypedModel;

use super::{Context, Outcome, thin};

/// Holds blocks of weights at zero, all of a block together.
pub(super) fn prune(model: &TypedModel, context: &Context<'_>) -> Result<Outcome> {
    let (outputs, inputs) = Linear::BLOCK;
    thin::prune(model, Block { outputs, inputs }, context)
}
