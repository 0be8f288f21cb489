//! From a model and a scheme to a quantized model and an account of it: one way for models of every kind.

use std::collections::BTreeMap;

use anyhow::Result;
use emberlite::model::{Agreement, Quantization, QuantizedLayer};
use emberlite::ops::{Embedding, Q4Blocks, WeightFormat};
use tract_core::prelude::{TypedModel, TypedNode};

use super::{Keep, Quantize, Rounded, Scheme, format_of, gptq, higher, layers, sensitivity};
use crate::calibrate::Calibration;
use crate::progress::Progress;
use crate::recipe::QuantizeSettings;

/// The layer that makes logits; with the embeddings the one that 4 bits cost most.
const HEAD: &str = "lm_head";

/// What quantizes a model, and with what help.
pub struct Quantizer<'a> {
    /// How weights are written down.
    pub scheme: Scheme,
    /// What else is said of it.
    pub settings: &'a QuantizeSettings,
    /// Layers that have 4 bits in the source: where they are to have 4 bits they stay as they are.
    pub given: &'a BTreeMap<String, Q4Blocks>,
    /// Whether int8's cost is measured layer by layer, for the account and for `keep = ["auto"]`.
    pub layer_errors: bool,
    /// The inputs to calibrate with.
    pub calibration: &'a dyn Calibration,
    /// Where it is told how far the work is.
    pub progress: &'a Progress,
}

impl Quantizer<'_> {
    /// The model with quantized weights, and the account of it; none where the scheme leaves weights alone or the model
    /// has none that are known. How near the outputs are to the source's remains to be measured.
    ///
    /// # Errors
    /// A pattern that fits no layer, settings that don't go together, or a model that fails.
    pub fn apply(&self, model: &TypedModel) -> Result<Option<(TypedModel, Quantization)>> {
        let Some(format) = self.scheme.format() else { return Ok(None) };
        let layers = layers(model);
        if layers.is_empty() {
            return Ok(None);
        }
        let errors = self.errors(model, &layers, format)?;
        let kept = Keep::new(self.settings.keep.clone()).choose(&layers, &errors)?;
        let formats = self.formats(model, &layers, format, &kept);
        let quantized = self.quantized(model, &formats)?;
        let quantization = Quantization {
            scheme: format,
            calibration: self.scheme.is_calibrated().then(|| self.calibration.name().to_owned()),
            kept,
            layers: account(&quantized, &errors),
            agreement: Agreement::default(),
        };
        Ok(Some((quantized, quantization)))
    }

    /// The format that each layer would get.
    ///
    /// # Errors
    /// A pattern that fits no layer.
    pub(crate) fn planned(&self, model: &TypedModel) -> Result<BTreeMap<String, WeightFormat>> {
        let Some(format) = self.scheme.format() else { return Ok(BTreeMap::new()) };
        let layers = layers(model);
        if layers.is_empty() {
            return Ok(BTreeMap::new());
        }
        let kept = Keep::new(self.settings.keep.clone()).choose(&layers, &BTreeMap::new())?;
        Ok(self.formats(model, &layers, format, &kept))
    }

    /// What int8 costs each layer; nothing is measured for other formats.
    fn errors(&self, model: &TypedModel, layers: &[String], format: WeightFormat) -> Result<BTreeMap<String, f64>> {
        if format != WeightFormat::Int8 || !self.layer_errors {
            return Ok(BTreeMap::new());
        }
        self.progress.count("measuring what each layer loses", layers.len());
        sensitivity::errors(model, layers, format, self.calibration, || self.progress.advance())
    }

    /// The format of each layer. Where all others get 4 bits embeddings and the layer of logits get 8, unless they have
    /// 4 in the source.
    fn formats(
        &self,
        model: &TypedModel,
        layers: &[String],
        format: WeightFormat,
        kept: &[String],
    ) -> BTreeMap<String, WeightFormat> {
        let of = |layer: &String| {
            let embeds = model.node_by_name(layer).is_ok_and(|node| node.op_is::<Embedding>());
            let costly = (layer == HEAD || embeds) && !self.given.contains_key(layer);
            let format = if costly && format == WeightFormat::Q4 { WeightFormat::Int8 } else { format };
            let format = if kept.contains(layer) { higher(format) } else { format };
            (layer.clone(), format)
        };
        layers.iter().map(of).collect()
    }

    /// The model with its layers in these formats.
    fn quantized(&self, model: &TypedModel, formats: &BTreeMap<String, WeightFormat>) -> Result<TypedModel> {
        let has_4_bits = |layer: &String| formats.get(layer) == Some(&WeightFormat::Q4);
        let mut blocks: BTreeMap<String, Q4Blocks> = self.given.clone();
        blocks.retain(|layer, _| has_4_bits(layer));
        if self.scheme.is_calibrated() {
            let free: Vec<String> =
                formats.keys().filter(|layer| has_4_bits(layer) && !blocks.contains_key(*layer)).cloned().collect();
            blocks.extend(gptq::rounded(model, &free, self.calibration, self.progress)?);
        }
        self.progress.step("quantizing the weights");
        let others: BTreeMap<_, _> =
            formats.iter().filter(|(layer, _)| !blocks.contains_key(*layer)).map(|(l, f)| (l.clone(), *f)).collect();
        Quantize(others).applied(&Rounded(blocks).applied(model)?)
    }
}

/// Every layer with its format, the greatest error first.
fn account(model: &TypedModel, errors: &BTreeMap<String, f64>) -> Vec<QuantizedLayer> {
    let layer = |node: &TypedNode| {
        let format = format_of(node)?;
        Some(QuantizedLayer { name: node.name.clone(), format, error: errors.get(&node.name).copied() })
    };
    let mut layers: Vec<_> = model.nodes().iter().filter_map(layer).collect();
    layers.sort_by(|a, b| b.error.unwrap_or(0.0).total_cmp(&a.error.unwrap_or(0.0)).then_with(|| a.name.cmp(&b.name)));
    layers
}
