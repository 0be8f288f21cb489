//! Packing a model of tensors.

mod calibration;

use anyhow::Result;
use emberlite::engine::Plan;
use emberlite::model::Task;
use tract_core::prelude::TypedModel;

use super::{Detail, Draft, Pruned, Request, describe, interface, verify};
use crate::calibrate::Calibration;
use crate::import::Imported;
use crate::progress::Progress;
use crate::recipe::QuantizeSettings;
use calibration::Inputs;

/// A model of tensors whose package was found to give what it gives.
pub(super) struct Prepared {
    draft: Draft,
    model: TypedModel,
    inputs: Inputs,
}

impl Prepared {
    pub(super) fn new(request: &Request, imported: Imported, progress: &Progress) -> Result<Self> {
        let recipe = &request.recipe;
        let manifest = describe::describe(recipe, &imported, Task::Predict)?;
        progress.step("writing the graph");
        let mut draft = Draft::new(manifest, &imported.model, None)?;
        progress.step("planning the model as it was imported");
        let source = Plan::new(imported.model.clone())?;

        progress.step("comparing the package with the model");
        interface::infer_roles(&mut draft.manifest, &source, &imported.words)?;
        let given: Vec<_> = recipe.examples.iter().map(|example| &example.input).chain(&request.inputs).collect();
        draft.manifest.verification = verify::compare(&source, &draft.load()?, &imported.words, &given)?;
        let inputs = Inputs::new(&draft.manifest, &source, &imported.words, &given)?;
        Ok(Self { draft, model: imported.model, inputs })
    }

    pub(super) fn model(&self) -> &TypedModel {
        &self.model
    }

    pub(super) fn calibration(&self) -> impl Calibration + '_ {
        &self.inputs
    }

    /// The package of what pruning left.
    pub(super) fn write(
        &self,
        pruned: &Pruned,
        _settings: &QuantizeSettings,
        _detail: Detail,
        _progress: &Progress,
    ) -> Result<Draft> {
        if pruned.account.is_empty() {
            return Ok(self.draft.clone());
        }
        let mut draft = Draft::new(self.draft.manifest.clone(), &pruned.model, None)?;
        draft.manifest.pruning.clone_from(&pruned.account);
        draft.load()?;
        Ok(draft)
    }
}
