//! Packing a model of texts: fused, its vocabulary trimmed, checked against its source, then quantized.

mod calibration;
mod quantization;
mod samples;
mod settings;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, anyhow};
use emberlite::engine::Plan;
use emberlite::model::{Task, TextSpec, Vocabulary};
use tract_core::prelude::TypedModel;

use super::{Detail, Draft, Pruned, check, describe};
use crate::calibrate::Calibration;
use crate::fuse;
use crate::import::Imported;
use crate::progress::Progress;
use crate::recipe::{QuantizeSettings, Recipe};
use crate::vocabulary::{self, Needs, Trimmed};
use quantization::Quantizing;
pub(super) use samples::{Sample, Samples, Side};
pub(super) use settings::resolve;

/// A model of texts: what it is for, and how texts become its inputs.
pub(super) struct Texts {
    task: Task,
    spec: TextSpec,
    tokenizer: Vec<u8>,
}

/// A model of texts with our operators in it and the vocabulary that it is to have, whose package was found to give what
/// the model gives.
pub(super) struct Prepared {
    draft: Draft,
    model: TypedModel,
    /// The model as it was imported.
    source: Plan,
    samples: Samples,
}

impl Prepared {
    pub(super) fn new(recipe: &Recipe, mut imported: Imported, texts: Texts, progress: &Progress) -> Result<Self> {
        if let Some(pooling) = recipe.text.pooling {
            settings::set_pooling(&mut imported.model, pooling)?;
        }
        let mut manifest = describe::describe(recipe, &imported, texts.task)?;
        settings::check_interface(&mut manifest, &texts.spec)?;
        manifest.text = Some(texts.spec.clone());

        progress.step("putting our operators into the graph");
        let mut model = imported.model.clone();
        fuse::fuse(&mut model).map_err(|error| anyhow!("putting our operators into the graph failed: {error:#}"))?;

        let corpus = recipe.vocabulary.as_ref().map(|file| file.read()).transpose()?;
        let trimmed = match &corpus {
            Some(corpus) => {
                progress.step("trimming the vocabulary");
                Some(trim(&mut model, &texts, corpus)?)
            }
            None => None,
        };
        if let (Some(trimmed), Some(spec), Some(corpus)) = (&trimmed, &mut manifest.text, &corpus) {
            spec.padding_id = trimmed.id(spec.padding_id).context("no token pads a text")?;
            manifest.vocabulary = Some(Vocabulary { tokens: trimmed.kept.len(), of: trimmed.of, texts: corpus.len() });
        }
        let rows = vocabulary::rows(&model, &texts.spec.ids);
        let samples = Samples::new(recipe, &manifest, &texts, corpus, trimmed.as_ref(), rows)?;
        let tokenizer = match trimmed {
            Some(trimmed) => trimmed.tokenizer,
            None => vocabulary::minified(&texts.tokenizer)?,
        };

        progress.step("planning the model as it was imported");
        let source = Plan::new(imported.model)?;
        progress.step("comparing the package with the model");
        let mut draft = Draft::new(manifest, &model, Some(tokenizer))?;
        draft.manifest.verification = check::compare_texts(&source, &draft.load()?, &samples)?;
        Ok(Self { draft, model, source, samples })
    }

    pub(super) fn draft(&self) -> &Draft {
        &self.draft
    }

    pub(super) fn model(&self) -> &TypedModel {
        &self.model
    }

    pub(super) fn calibration(&self) -> impl Calibration + '_ {
        calibration::Texts::new(self, quantization::measure(&self.draft.manifest))
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
            draft = Draft::new(draft.manifest, &pruned.model, draft.tokenizer)?;
            draft.manifest.pruning.clone_from(&pruned.account);
        }
        let calibration = self.calibration();
        let (model, source, samples) = (&pruned.model, &self.source, &self.samples);
        Quantizing { settings, detail, model, source, samples, calibration: &calibration, progress }.apply(draft)
    }
}

fn trim(model: &mut TypedModel, texts: &Texts, corpus: &[String]) -> Result<Trimmed> {
    let mut ids: BTreeSet<i64> = vocabulary::counted_ids(model).collect();
    ids.insert(texts.spec.padding_id);
    let needs = Needs { prompts: texts.spec.prompts.values().cloned().collect(), ids };
    let trimmed = vocabulary::trim(&texts.tokenizer, corpus, &needs)?;
    vocabulary::slice(model, &texts.spec.ids, &trimmed.kept)?;
    Ok(trimmed)
}
