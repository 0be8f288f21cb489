//! Packing a language model: checked against its source token by token, quantized, its perplexity measured.

mod documents;
mod quantization;
mod settings;
mod verify;

use anyhow::{Context as _, Result};
use emberlite::engine::Decoder;
use emberlite::model::{Perplexity, Task};
use emberlite::tokenizer::Tokenizer;

use super::{Draft, describe};
use crate::import::Imported;
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::vocabulary;
use documents::Documents;
use quantization::Quantizing;

/// What the package of a language model is written from.
pub(super) fn draft(recipe: &Recipe, imported: Imported, progress: &Progress) -> Result<Draft> {
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
    draft.manifest.verification = verify::compare(&source, &draft.load()?, &spec, progress)?;

    let measured = documents.measure(&source, "measuring the source's perplexity", progress)?;
    let mut after = measured.clone();
    if let Some(format) = recipe.quantize.format_or(settings::USUAL) {
        let quantizing = Quantizing { format, recipe, imported: &imported, documents: &documents, progress };
        draft = quantizing.apply(draft)?;
        let packed = draft.load()?;
        let decoder = packed.decoder().context("the package holds no language model")?;
        after = documents.measure(decoder, "measuring the package's perplexity", progress)?;
        if let Some(quantization) = &mut draft.manifest.quantization {
            quantization.agreement = measured.agreement(&after);
        }
    }
    if let Some(spec) = &mut draft.manifest.generate {
        spec.perplexity = Some(Perplexity {
            text: documents.name().to_owned(),
            tokens: after.tokens(),
            source: measured.perplexity(),
            packed: after.perplexity(),
        });
    }
    draft.warnings.extend(settings::warning(measured.perplexity(), after.perplexity()));
    Ok(draft)
}
