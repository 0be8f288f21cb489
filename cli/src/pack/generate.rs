//! Packing a language model: checked against its source token by token, quantized, its perplexity measured.

mod calibration;
mod check;
mod documents;
mod settings;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use emberlite::engine::Decoder;
use emberlite::model::{Perplexity, Quantization, Task};
use emberlite::ops::{Linear, Q4Blocks};
use emberlite::tokenizer::Tokenizer;
use tract_core::prelude::TypedModel;

use super::{Detail, Draft, Pruned, describe};
use crate::calibrate::Calibration;
use crate::import::Imported;
use crate::progress::Progress;
use crate::quantize::Quantizer;
use crate::recipe::{QuantizeSettings, Recipe};
use crate::verify::Predictions;
use crate::vocabulary;
use documents::Documents;
pub(super) use settings::USUAL;

/// A language model whose package was found to predict what the model predicts.
pub(super) struct Prepared {
    draft: Draft,
    imported: Imported,
    source: Decoder,
    documents: Documents,
    /// How the source predicts the texts that are measured.
    measured: Predictions,
}

impl Prepared {
    pub(super) fn new(recipe: &Recipe, imported: Imported, progress: &Progress) -> Result<Self> {
        settings::check(recipe)?;
        let Imported { generate, tokenizer, .. } = &imported;
        let mut spec = generate.clone().context("the importer says nothing of how the language model is used")?;
        let tokenizer = vocabulary::minified(tokenizer.as_deref().context("the language model has no tokenizer")?)?;
        spec.context_tokens = settings::context(recipe, spec.context_tokens)?;
        let documents = Documents::read(recipe, &Tokenizer::from_json(&tokenizer)?, &spec)?;

        let mut manifest = describe::describe(recipe, &imported, Task::Generate)?;
        manifest.generate = Some(spec.clone());
        progress.step("writing the graph");
        let mut draft = Draft::new(manifest, &imported.model, Some(tokenizer))?;
        progress.step("planning the model as it was imported");
        let source = Decoder::new(imported.model.clone())?;
        draft.manifest.verification = check::compare(&source, &draft.load()?, &spec, progress)?;
        let measured = documents.measure(&source, "measuring the source's perplexity", progress)?;
        Ok(Self { draft, imported, source, documents, measured })
    }

    pub(super) fn draft(&self) -> &Draft {
        &self.draft
    }

    pub(super) fn model(&self) -> &TypedModel {
        &self.imported.model
    }

    /// The layers that have 4 bits in the source, less those that pruning changed.
    fn unchanged(&self, model: &TypedModel) -> BTreeMap<String, Q4Blocks> {
        let linear = |model: &TypedModel, layer: &str| model.node_by_name(layer).ok()?.op_as::<Linear>().cloned();
        let unchanged = |layer: &str| linear(model, layer) == linear(&self.imported.model, layer);
        let given = self.imported.q4.iter().filter(|(layer, _)| unchanged(layer));
        given.map(|(layer, blocks)| (layer.clone(), blocks.clone())).collect()
    }

    /// Layers that have 4 bits in the source.
    pub(super) fn given(&self) -> &BTreeMap<String, Q4Blocks> {
        &self.imported.q4
    }

    pub(super) fn calibration(&self) -> impl Calibration + '_ {
        calibration::Tokens::new(&self.source, &self.documents)
    }

    /// The package of what pruning left, its weights written down in some way.
    pub(super) fn write(
        &self,
        pruned: &Pruned,
        settings: &QuantizeSettings,
        _detail: Detail,
        progress: &Progress,
    ) -> Result<Draft> {
        let calibration = self.calibration();
        let mut draft = self.draft.clone();
        draft.manifest.pruning.clone_from(&pruned.account);
        let quantized = self.quantized(&pruned.model, settings, &calibration, progress)?;
        let pruned_any = !pruned.account.is_empty();
        if let Some((quantized, account)) = &quantized {
            let Draft { manifest, tokenizer, warnings, .. } = draft;
            draft = Draft { warnings, ..Draft::new(manifest, quantized, tokenizer)? };
            draft.manifest.quantization = Some(account.clone());
        } else if pruned_any {
            draft = Draft::new(draft.manifest, &pruned.model, draft.tokenizer)?;
        }
        let mut after = self.measured.clone();
        if pruned_any || quantized.is_some() {
            let packed = draft.load()?;
            let decoder = packed.decoder().context("the package holds no language model")?;
            after = self.documents.measure(decoder, "measuring the package's perplexity", progress)?;
        }
        if let Some(quantization) = &mut draft.manifest.quantization {
            quantization.agreement = self.measured.agreement(&after);
        }
        let (source, packed) = (self.measured.perplexity(), after.perplexity());
        if let Some(spec) = &mut draft.manifest.generate {
            let text = self.documents.name().to_owned();
            spec.perplexity = Some(Perplexity { text, tokens: after.tokens(), source, packed });
        }
        draft.warnings.extend(settings::warning(source, packed));
        Ok(draft)
    }

    fn quantized(
        &self,
        model: &TypedModel,
        settings: &QuantizeSettings,
        calibration: &dyn Calibration,
        progress: &Progress,
    ) -> Result<Option<(TypedModel, Quantization)>> {
        let scheme = settings.scheme.unwrap_or(settings::USUAL);
        let given = self.unchanged(model);
        Quantizer { scheme, settings, given: &given, layer_errors: false, calibration, progress }.apply(model)
    }
}
