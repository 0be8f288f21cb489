//! Quantizing a model of texts: which layers, at what cost, and how near the result is to the source.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use emberlite::engine::Plan;
use emberlite::model::{Agreement, Manifest, Quantization, QuantizedLayer};
use emberlite::ops::WeightFormat;
use tract_core::prelude::TypedModel;

use super::samples::{Samples, Side};
use crate::pack::Draft;
use crate::progress::Progress;
use crate::quantize::{self, Keep, Measure, Quantize};
use crate::recipe::QuantizeSettings;

/// On how many texts the error of each layer is measured.
const LAYER_TEXTS: usize = 16;
/// On how many texts the whole model is compared.
const MODEL_TEXTS: usize = 128;
/// A mean cosine, or a part of equal labels, that the user should know of.
const POOR: f64 = 0.99;

/// What is said of a graph that our operators fit nowhere in.
const NOTHING: &str = "no linear layer and no embedding of the graph is known as one: nothing is quantized";

/// What is quantized, and what it is compared with.
pub(super) struct Quantizing<'a> {
    pub(super) format: WeightFormat,
    pub(super) settings: &'a QuantizeSettings,
    /// The model before.
    pub(super) model: &'a TypedModel,
    /// The model as it was imported.
    pub(super) source: &'a Plan,
    pub(super) samples: &'a Samples,
    pub(super) progress: &'a Progress,
}

impl Quantizing<'_> {
    /// The draft with quantized weights, and the account of what they cost.
    pub(super) fn apply(&self, mut draft: Draft) -> Result<Draft> {
        let layers = quantize::layers(self.model);
        if layers.is_empty() {
            let asked = self.settings.scheme.is_some() || !self.settings.keep.is_empty();
            ensure!(!asked, "{NOTHING}");
            draft.warnings.push(NOTHING.to_owned());
            return Ok(draft);
        }
        let measure = measure(&draft.manifest);
        let errors = self.errors(&layers, measure)?;
        let kept = Keep::new(self.settings.keep.clone()).choose(&layers, &errors)?;
        let format = |layer: &String| if kept.contains(layer) { quantize::higher(self.format) } else { self.format };
        let formats = layers.iter().map(|layer| (layer.clone(), format(layer))).collect();
        let quantized = Quantize(formats).applied(self.model)?;

        self.progress.step("comparing the quantized package with the model");
        let mut draft = Draft::new(draft.manifest, &quantized, draft.tokenizer)?;
        let agreement = self.agreement(&draft, measure)?;
        draft.warnings.extend(warning(&agreement, self.format));
        let layers = account(&quantized, &errors);
        draft.manifest.quantization =
            Some(Quantization { scheme: self.format, calibration: None, kept, layers, agreement });
        Ok(draft)
    }

    /// What int8 costs each layer; nothing is measured for formats that cost next to nothing.
    fn errors(&self, layers: &[String], measure: Measure) -> Result<BTreeMap<String, f64>> {
        if self.format != WeightFormat::Int8 {
            return Ok(BTreeMap::new());
        }
        let probe = self.samples.probe(Side::Packed, LAYER_TEXTS)?;
        self.progress.count("measuring what each layer loses", layers.len());
        quantize::errors(self.model, layers, self.format, &probe, measure, || self.progress.advance())
    }

    fn agreement(&self, draft: &Draft, measure: Measure) -> Result<Agreement> {
        let expected = self.samples.probe(Side::Source, MODEL_TEXTS)?.rows(|inputs| self.source.run(inputs))?;
        let packed = draft.load()?;
        let got = self.samples.probe(Side::Packed, MODEL_TEXTS)?.rows(|inputs| packed.run(inputs))?;
        Ok(measure.agreement(&expected, &got))
    }
}

/// How outputs are compared.
pub(super) fn measure(manifest: &Manifest) -> Measure {
    Measure::of(manifest.task, manifest.text.as_ref().and_then(|text| text.problem))
}

/// Every layer with its format, the greatest error first.
fn account(model: &TypedModel, errors: &BTreeMap<String, f64>) -> Vec<QuantizedLayer> {
    let layer = |node: &tract_core::prelude::TypedNode| {
        let format = quantize::format_of(node)?;
        Some(QuantizedLayer { name: node.name.clone(), format, error: errors.get(&node.name).copied() })
    };
    let mut layers: Vec<_> = model.nodes().iter().filter_map(layer).collect();
    layers.sort_by(|a, b| b.error.unwrap_or(0.0).total_cmp(&a.error.unwrap_or(0.0)).then_with(|| a.name.cmp(&b.name)));
    layers
}

fn warning(agreement: &Agreement, format: WeightFormat) -> Option<String> {
    let cosine = agreement.cosine.map(|cosine| ("the mean cosine to the source", cosine.mean));
    let labels = agreement.labels.map(|labels| ("the part of texts that keep their labels", labels));
    let (what, value) = cosine.or(labels).filter(|(_, value)| *value < POOR)?;
    Some(format!("{format:?} costs much here: {what} is {value:.4}; try --keep auto, or --quantize f16"))
}
