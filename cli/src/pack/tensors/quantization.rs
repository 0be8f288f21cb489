//! Quantizing a model of tensors: its linear layers, where that is asked for.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use emberlite::model::{Agreement, Quantization};
use tract_core::prelude::TypedModel;

use super::calibration::Inputs;
use crate::pack::{Detail, Draft};
use crate::progress::Progress;
use crate::quantize::{Quantizer, Scheme};
use crate::recipe::QuantizeSettings;

/// A part of equal labels that the user should know of.
const POOR: f64 = 0.99;

/// What is quantized, and what it is compared with.
pub(super) struct Quantizing<'a> {
    pub(super) settings: &'a QuantizeSettings,
    pub(super) detail: Detail,
    /// The model before.
    pub(super) model: &'a TypedModel,
    pub(super) inputs: &'a Inputs,
    pub(super) progress: &'a Progress,
}

impl Quantizing<'_> {
    /// The draft with quantized weights, and the account of what they cost; the draft as it is where nothing is asked for.
    pub(super) fn apply(&self, draft: Draft) -> Result<Draft> {
        let &Self { settings, inputs, progress, .. } = self;
        let scheme = settings.scheme.unwrap_or(Scheme::None);
        let Some(format) = scheme.format() else {
            ensure!(
                settings.keep.is_empty(),
                "there is nothing to keep: a model of tensors is quantized with --quantize"
            );
            return Ok(draft);
        };
        let given = BTreeMap::new();
        let layer_errors = self.detail == Detail::Layers || settings.keep.iter().any(|pattern| pattern == "auto");
        let quantizer = Quantizer { scheme, settings, given: &given, layer_errors, calibration: inputs, progress };
        let quantized = quantizer.apply(self.model)?;
        let Some((quantized, account)) = quantized else {
            anyhow::bail!("the model has no linear layer that is known as one: nothing can be quantized")
        };
        progress.step("comparing the quantized package with the model");
        let Draft { manifest, tokenizer, warnings, .. } = draft;
        let mut draft = Draft { warnings, ..Draft::new(manifest, &quantized, tokenizer)? };
        let agreement = self.agreement(&draft)?;
        let labels = agreement.labels.filter(|labels| *labels < POOR);
        draft.warnings.extend(labels.map(|labels| {
            let same = labels * 100.0;
            format!("{format:?} costs much here: {same:.1} % get the same labels; try --keep auto, or --quantize f16")
        }));
        draft.manifest.quantization = Some(Quantization { agreement, ..account });
        Ok(draft)
    }

    fn agreement(&self, draft: &Draft) -> Result<Agreement> {
        use crate::calibrate::Calibration as _;

        let got = self.inputs.packed(&draft.load()?)?;
        Ok(self.inputs.measure().agreement(self.inputs.expected()?, &got))
    }
}
