//! Quantizing a model of texts: which layers, at what cost, and how near the result is to the source.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use emberlite::engine::Plan;
use emberlite::model::{Agreement, Manifest, Quantization};
use emberlite::ops::WeightFormat;
use tract_core::prelude::TypedModel;

use super::samples::{Samples, Side};
use crate::calibrate::Calibration;
use crate::pack::Draft;
use crate::progress::Progress;
use crate::quantize::{Measure, Quantizer, Scheme};
use crate::recipe::QuantizeSettings;

/// How the weights of a model of texts are written down where nothing is said.
const USUAL: Scheme = Scheme::Int8;
/// On how many texts the whole model is compared.
const MODEL_TEXTS: usize = 128;
/// A mean cosine, or a part of equal labels, that the user should know of.
const POOR: f64 = 0.99;

/// What is said of a graph that our operators fit nowhere in.
const NOTHING: &str = "no linear layer and no embedding of the graph is known as one: nothing is quantized";

/// What is quantized, and what it is compared with.
pub(super) struct Quantizing<'a> {
    pub(super) settings: &'a QuantizeSettings,
    /// The model before.
    pub(super) model: &'a TypedModel,
    /// The model as it was imported.
    pub(super) source: &'a Plan,
    pub(super) samples: &'a Samples,
    pub(super) calibration: &'a dyn Calibration,
    pub(super) progress: &'a Progress,
}

impl Quantizing<'_> {
    /// The draft with quantized weights, and the account of what they cost.
    pub(super) fn apply(&self, mut draft: Draft) -> Result<Draft> {
        let &Self { settings, calibration, progress, .. } = self;
        let scheme = settings.scheme.unwrap_or(USUAL);
        let Some(format) = scheme.format() else { return Ok(draft) };
        let given = BTreeMap::new();
        let quantizer = Quantizer { scheme, settings, given: &given, layer_errors: true, calibration, progress };
        let Some((quantized, account)) = quantizer.apply(self.model)? else {
            let asked = settings.scheme.is_some() || !settings.keep.is_empty();
            ensure!(!asked, "{NOTHING}");
            draft.warnings.push(NOTHING.to_owned());
            return Ok(draft);
        };
        progress.step("comparing the quantized package with the model");
        let measure = measure(&draft.manifest);
        let mut draft = Draft::new(draft.manifest, &quantized, draft.tokenizer)?;
        let agreement = self.agreement(&draft, measure)?;
        draft.warnings.extend(warning(&agreement, format));
        draft.manifest.quantization = Some(Quantization { agreement, ..account });
        Ok(draft)
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

fn warning(agreement: &Agreement, format: WeightFormat) -> Option<String> {
    let cosine = agreement.cosine.map(|cosine| ("the mean cosine to the source", cosine.mean));
    let labels = agreement.labels.map(|labels| ("the part of texts that keep their labels", labels));
    let (what, value) = cosine.or(labels).filter(|(_, value)| *value < POOR)?;
    let other = match format {
        WeightFormat::Q4 => "--quantize q4-calibrated, or auto with a --budget",
        _ => "--keep auto, or --quantize f16",
    };
    Some(format!("{format:?} costs much here: {what} is {value:.4}; try {other}"))
}
