//! Packing a model of tensors: its layers fused where that changes nothing, checked against its source, then made smaller.

mod answers;
mod calibration;
mod quantization;

use anyhow::{Result, anyhow};
use emberlite::engine::Plan;
use emberlite::model::{Manifest, Task};
use serde_json::Value;
use tract_core::prelude::TypedModel;

use super::check::{self, Tolerance};
use super::samples::Words;
use super::{Detail, Draft, Pruned, describe, interface};
use crate::calibrate::Calibration;
use crate::fuse;
use crate::import::Imported;
use crate::progress::Progress;
use crate::recipe::{QuantizeSettings, Recipe};
use calibration::Inputs;
use quantization::Quantizing;

/// A model of tensors whose package was found to give what it gives.
pub(super) struct Prepared {
    draft: Draft,
    model: TypedModel,
    inputs: Inputs,
}

impl Prepared {
    pub(super) fn new(recipe: &Recipe, inputs: &[Value], imported: Imported, progress: &Progress) -> Result<Self> {
        let mut manifest = describe::describe(recipe, &imported, Task::Predict)?;
        progress.step("planning the model as it was imported");
        let source = Plan::new(imported.model.clone())?;
        interface::infer_roles(&mut manifest, &source, &imported.words)?;

        progress.step("comparing the package with the model");
        let given: Vec<_> = recipe.examples.iter().map(|example| &example.input).chain(inputs).collect();
        let check = Check { source: &source, words: &imported.words, given: &given };
        let (draft, model) = match check.fused(&manifest, &imported.model) {
            Ok(Some(fused)) => fused,
            Ok(None) => (check.draft(manifest, &imported.model, Tolerance::SAME)?, imported.model),
            Err(reason) => {
                let mut draft = check.draft(manifest, &imported.model, Tolerance::SAME)?;
                draft.warnings.push(format!("dense layers were left as they are, and can't be quantized: {reason:#}"));
                (draft, imported.model)
            }
        };
        let inputs = match &recipe.quantize.calibration {
            Some(file) => Inputs::read(file, &draft.manifest, &source)?,
            None => Inputs::random(&draft.manifest, &source, &imported.words, &given)?,
        };
        Ok(Self { draft, model, inputs })
    }

    pub(super) fn draft(&self) -> &Draft {
        &self.draft
    }

    pub(super) fn model(&self) -> &TypedModel {
        &self.model
    }

    pub(super) fn calibration(&self) -> impl Calibration + '_ {
        &self.inputs
    }

    /// The package of what pruning left, its weights written down in some way.
    pub(super) fn write(
        &self,
        pruned: &Pruned,
        settings: &QuantizeSettings,
        detail: Detail,
        progress: &Progress,
    ) -> Result<Draft> {
        let mut draft = self.draft.clone();
        if !pruned.account.is_empty() {
            draft = Draft::new(draft.manifest, &pruned.model, None)?;
            draft.manifest.pruning.clone_from(&pruned.account);
            draft.load()?;
        }
        Quantizing { settings, detail, model: &pruned.model, inputs: &self.inputs, progress }.apply(draft)
    }
}

/// What a draft is compared with, and on what.
struct Check<'a> {
    source: &'a Plan,
    words: &'a Words,
    given: &'a [&'a Value],
}

impl Check<'_> {
    /// The model with our layers, and its draft; none where there is no layer for us.
    ///
    /// # Errors
    /// A draft that does not give what the source gives: it is packed without our layers then.
    fn fused(&self, manifest: &Manifest, model: &TypedModel) -> Result<Option<(Draft, TypedModel)>> {
        let mut fused = model.clone();
        let report = fuse::fuse_layers(&mut fused).map_err(|error| anyhow!("{error:#}"))?;
        if report.is_unchanged() {
            return Ok(None);
        }
        Ok(Some((self.draft(manifest.clone(), &fused, Tolerance::FUSED)?, fused)))
    }

    /// A draft of a model, which gives what the source gives.
    fn draft(&self, manifest: Manifest, model: &TypedModel, tolerance: Tolerance) -> Result<Draft> {
        let mut draft = Draft::new(manifest, model, None)?;
        let packed = draft.load()?;
        draft.manifest.verification = check::compare(self.source, &packed, self.words, self.given, tolerance)?;
        Ok(draft)
    }
}
