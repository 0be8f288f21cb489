//! From a model and a scheme to a quantized model and an account of it: one way for models of every kind.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, ensure};
use emberlite::model::{Agreement, Quantization, QuantizedLayer};
use emberlite::ops::{Embedding, Linear, Q4Blocks, WeightFormat};
use tract_core::prelude::{TypedModel, TypedNode};

use super::gptq::{Rounding, linear};
use super::mixed::Mixing;
use super::smooth::{Smoothing, absorb, smoothed};
use super::{Keep, Quantize, Scheme, Smooth, Ties, format_of, higher, layers, sensitivity, static_range, with_linears};
use crate::calibrate::Calibration;
use crate::progress::Progress;
use crate::recipe::QuantizeSettings;

/// The layer that makes logits; with the embeddings the one that 4 bits cost most.
const HEAD: &str = "lm_head";
/// The loss that the scheme `auto` stays within where nothing is said.
const BUDGET: f64 = 0.01;

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
        self.scheme.check(self.settings)?;
        let Some(format) = self.scheme.format() else { return Ok(None) };
        let layers = layers(model);
        if layers.is_empty() {
            return Ok(None);
        }
        let errors = self.errors(model, &layers, format)?;
        let kept = Keep::new(self.settings.keep.clone()).choose(&layers, &errors)?;
        let mut formats = self.formats(model, &layers, format, &kept);
        let mut quantized = None;
        if self.scheme == Scheme::Auto {
            let fixed = kept.iter().map(|layer| (layer.clone(), WeightFormat::F16)).collect();
            let budget = self.settings.budget.unwrap_or(BUDGET);
            let mixing = Mixing { quantizer: self, candidates: &Mixing::CANDIDATES, fixed: &fixed, max_loss: budget };
            let (chosen, model) = mixing.choose(model)?;
            (formats, quantized) = (chosen, Some(model));
        }
        self.name_formats(&layers, &mut formats)?;
        let quantized = match quantized.filter(|_| self.settings.formats.is_empty()) {
            Some(quantized) => quantized,
            None => self.quantized(model, &formats)?,
        };
        let quantization = Quantization {
            scheme: format,
            method: self.method(&quantized),
            calibration: self.is_calibrated().then(|| self.calibration.name().to_owned()),
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

    /// How inputs are smoothed.
    fn smooth(&self) -> Smooth {
        self.settings.smooth.unwrap_or_else(|| self.scheme.smooth())
    }

    fn is_calibrated(&self) -> bool {
        self.scheme.is_fitted() || self.scheme == Scheme::Int8Static || self.smooth() != Smooth::Off
    }

    /// What the formats alone don't tell.
    fn method(&self, quantized: &TypedModel) -> Option<String> {
        let mut parts = match self.scheme {
            Scheme::Int8Static => {
                let (fixed, all) = static_range::count(quantized);
                vec![format!("static, {}, in {fixed} of {all} layers", self.settings.range.unwrap_or_default())]
            }
            Scheme::Auto => vec![format!("auto, budget {}", self.settings.budget.unwrap_or(BUDGET))],
            Scheme::Q4Calibrated => vec!["gptq".to_owned()],
            Scheme::Q4Awq => vec!["awq".to_owned()],
            Scheme::None | Scheme::Int8 | Scheme::F16 | Scheme::Bf16 | Scheme::Q4 => Vec::new(),
        };
        match self.settings.smooth {
            Some(Smooth::Searched) => parts.push("smooth".to_owned()),
            Some(Smooth::Exponent(exponent)) => parts.push(format!("smooth {exponent}")),
            Some(Smooth::Off) | None => {}
        }
        (!parts.is_empty()).then(|| parts.join(", "))
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

    /// Gives the layers that the settings name with a format this one.
    fn name_formats(&self, layers: &[String], formats: &mut BTreeMap<String, WeightFormat>) -> Result<()> {
        for (pattern, format) in &self.settings.formats {
            ensure!(pattern != "auto", "a format is for layers by their names: auto is none");
            let named = Keep::new(vec![pattern.clone()]).choose(layers, &BTreeMap::new())?;
            formats.extend(named.into_iter().map(|layer| (layer, *format)));
        }
        Ok(())
    }

    /// The model with its layers in these formats.
    pub(super) fn quantized(&self, model: &TypedModel, formats: &BTreeMap<String, WeightFormat>) -> Result<TypedModel> {
        let mut quantized = self.rounded(model, formats, |rounding, quantized| rounding.in_stages(quantized))?;
        if self.scheme == Scheme::Int8Static {
            let method = self.settings.range.unwrap_or_default();
            quantized = static_range::fixed(&quantized, method, self.calibration, self.progress)?;
        }
        without_empty_blocks(&absorb(&quantized)?)
    }

    /// The model with its layers in these formats, each rounded as if it were the only one.
    pub(super) fn independently(
        &self,
        model: &TypedModel,
        formats: &BTreeMap<String, WeightFormat>,
    ) -> Result<TypedModel> {
        self.rounded(model, formats, |rounding, quantized| with_linears(&quantized, rounding.at_once()?))
    }

    fn rounded(
        &self,
        model: &TypedModel,
        formats: &BTreeMap<String, WeightFormat>,
        fit: impl Fn(&Rounding<'_>, TypedModel) -> Result<TypedModel>,
    ) -> Result<TypedModel> {
        let (calibration, progress) = (self.calibration, self.progress);
        let has_4_bits = |layer: &String| formats.get(layer) == Some(&WeightFormat::Q4);
        let mut ops: BTreeMap<String, Linear> = BTreeMap::new();
        for (layer, blocks) in self.given.iter().filter(|(layer, _)| has_4_bits(layer)) {
            let old = linear(model, layer)?;
            let same = Linear::from_q4(blocks, Some(old.bias())).map_err(|reason| anyhow!("{layer}: {reason}"))?;
            ops.insert(layer.clone(), same.like(old));
        }
        let open = formats.iter().filter(|(layer, _)| !ops.contains_key(*layer));
        let open: BTreeMap<String, WeightFormat> = open.map(|(layer, format)| (layer.clone(), *format)).collect();
        let fixed = self.scheme == Scheme::Int8Static;
        let smoothing = Smoothing { model, formats: &open, smooth: self.smooth(), fixed };
        let factors = smoothing.factors(calibration, progress)?;
        let fits = |layer: &&String| self.scheme.is_fitted() && has_4_bits(layer) && linear(model, layer).is_ok();
        let fitted: Vec<String> = open.keys().filter(fits).cloned().collect();
        progress.step("quantizing the weights");
        for (layer, factors) in factors.iter().filter(|(layer, _)| !fitted.contains(layer)) {
            let smooth = smoothed(linear(model, layer)?, factors, open[layer]);
            ops.insert(layer.clone(), smooth.map_err(|reason| anyhow!("{layer}: {reason}"))?);
        }
        let others = open.iter().filter(|(layer, _)| !ops.contains_key(*layer) && !fitted.contains(layer));
        let others = Quantize(others.map(|(layer, format)| (layer.clone(), *format)).collect());
        let quantized = with_linears(&others.applied(model)?, ops)?;
        if fitted.is_empty() {
            return Ok(quantized);
        }
        fit(&Rounding { model, layers: &fitted, factors: &factors, calibration, progress }, quantized)
    }
}

/// The model with layers that leave out the empty blocks of their weights, where that pays and no embedding is tied to them.
fn without_empty_blocks(model: &TypedModel) -> Result<TypedModel> {
    let ties = Ties::of(model);
    let sparse = |node: &TypedNode| {
        let layer = node.op_as::<Linear>().filter(|_| !ties.has_layer(&node.name))?;
        let sparse = layer.clone().without_empty_blocks();
        (sparse.blocks() != layer.blocks()).then(|| (node.name.clone(), sparse))
    };
    let sparse: BTreeMap<String, Linear> = model.nodes().iter().filter_map(sparse).collect();
    if sparse.is_empty() { Ok(model.clone()) } else { with_linears(model, sparse) }
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
