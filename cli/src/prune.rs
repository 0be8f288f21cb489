//! `--prune`: parts of a model that contribute little are taken out, and what is left makes up for them.
//!
//! Most methods take whole parts out of the graph, whose shapes shrink with them, so that the model is smaller and faster
//! without a kernel that knows. Two hold weights at zero, of which a kernel or the package knows. What a part contributes is
//! measured on the inputs to calibrate with; the weights that read what is left are fitted anew by least squares on what the
//! layer gave before. Nothing is trained.

mod allot;
mod attended;
mod blocks;
mod channels;
mod elimination;
mod heads;
mod hidden;
mod layers;
mod low_rank;
mod neurons;
mod parameters;
mod regression;
mod rewrite;
mod sites;
mod step;
mod stream;
mod thin;
mod trees;
mod watch;
mod weights;

use anyhow::{Context as _, Result, ensure};
use emberlite::model::Pruning;
use tract_core::prelude::TypedModel;

use crate::calibrate::Calibration;
use crate::progress::Progress;
use crate::quantize::rounded;
pub use parameters::parameters;
pub use step::{Method, Part, Step, check_order};

/// What a method works with.
struct Context<'a> {
    /// How much goes, and what stays.
    step: &'a Step,
    calibration: &'a dyn Calibration,
    progress: &'a Progress,
}

/// What a method made of a model.
struct Outcome {
    model: TypedModel,
    /// How many parts there were that it could have taken out.
    units: usize,
    /// How many it took out.
    removed: usize,
}

/// A model without what a method takes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model has no {0} that can be taken out")]
pub struct Nothing(pub Method);

/// Takes the steps one after the other, each on what the one before left, and tells what each cost.
///
/// # Errors
/// A method that finds nothing to take out, a pattern that fits nothing, or a model that fails.
pub fn prune(
    mut model: TypedModel,
    steps: &[Step],
    calibration: &dyn Calibration,
    progress: &Progress,
) -> Result<(TypedModel, Vec<Pruning>)> {
    let mut account = Vec::with_capacity(steps.len());
    for step in steps {
        let context = Context { step, calibration, progress };
        let before = parameters(&model);
        let outcome = apply(&model, &context).with_context(|| format!("pruning {} failed", step.method))?;
        ensure!(outcome.units > 0, Nothing(step.method));
        model = outcome.model;
        account.push(Pruning {
            method: step.method.to_string(),
            amount: step.amount.get(),
            units: outcome.units,
            removed: outcome.removed,
            parameters_before: before,
            parameters_after: parameters(&model),
            loss: rounded(calibration.loss(&model)?),
        });
    }
    Ok((model, account))
}

fn apply(model: &TypedModel, context: &Context<'_>) -> Result<Outcome> {
    match context.step.method {
        Method::Neurons => neurons::prune(model, context),
        Method::Heads => heads::prune(model, context),
        Method::Layers => layers::prune(model, context),
        Method::LowRank => low_rank::prune(model, context),
        Method::Channels => channels::prune(model, context),
        Method::Trees => trees::prune(model, context),
        Method::Blocks => blocks::prune(model, context),
        Method::Weights => weights::prune(model, context),
    }
}

#[cfg(test)]
mod tests;
