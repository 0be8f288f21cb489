//! Quantizing a language model: which layers get which format, and how 4-bit weights are rounded.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use emberlite::engine::Decoder;
use emberlite::model::{Agreement, Quantization, QuantizedLayer};
use emberlite::ops::{Embedding, Linear, Q4Blocks, WeightFormat};
use tract_core::prelude::{TypedModel, TypedNode};

use super::documents::Documents;
use crate::import::Imported;
use crate::pack::Draft;
use crate::progress::Progress;
use crate::quantize::{self, Keep, Observations, Quantize, Rounded, Scheme};
use crate::recipe::QuantizeSettings;

/// The layer that makes logits; with the embeddings the one that 4 bits cost most.
const HEAD: &str = "lm_head";

/// What is quantized, and with what help.
pub(super) struct Quantizing<'a> {
    pub(super) format: WeightFormat,
    pub(super) settings: &'a QuantizeSettings,
    /// The model before: that which was imported, or what pruning left of it.
    pub(super) model: &'a TypedModel,
    pub(super) imported: &'a Imported,
    pub(super) documents: &'a Documents,
    pub(super) progress: &'a Progress,
}

impl Quantizing<'_> {
    /// The draft with quantized weights. How near it is to the source remains to be measured.
    pub(super) fn apply(&self, draft: Draft) -> Result<Draft> {
        let model = self.model;
        let layers = quantize::layers(model);
        let kept = Keep::new(self.settings.keep.clone()).choose(&layers, &BTreeMap::new())?;
        let formats: BTreeMap<String, WeightFormat> =
            layers.iter().map(|layer| (layer.clone(), self.format_of(model, layer, &kept))).collect();
        let mut blocks = self.given(&formats);
        if self.fits() {
            blocks.extend(self.calibrated(&formats, &blocks)?);
        }
        self.progress.step("quantizing the weights");
        let others = formats.into_iter().filter(|(layer, _)| !blocks.contains_key(layer)).collect();
        let quantized = Rounded(blocks).applied(model)?;
        let quantized = Quantize(others).applied(&quantized)?;
        let mut draft = Draft { warnings: draft.warnings, ..Draft::new(draft.manifest, &quantized, draft.tokenizer)? };
        draft.manifest.quantization = Some(Quantization {
            scheme: self.format,
            calibration: self.fits().then(|| self.documents.calibration_name().to_owned()),
            kept,
            layers: account(&quantized),
            agreement: Agreement { texts: 0, isa: String::new(), cosine: None, labels: None, max_abs_difference: 0.0 },
        });
        Ok(draft)
    }

    /// Whether weights are rounded with regard to the calibration text.
    fn fits(&self) -> bool {
        self.settings.scheme == Some(Scheme::Q4Calibrated)
    }

    /// The format of a layer. Where all others get 4 bits embeddings and the layer of logits get 8, unless they have 4 in
    /// the source.
    fn format_of(&self, model: &TypedModel, layer: &String, kept: &[String]) -> WeightFormat {
        let embeds = model.node_by_name(layer).is_ok_and(|node| node.op_is::<Embedding>());
        let costly = (layer == HEAD || embeds) && !self.imported.q4.contains_key(layer);
        let format = if costly && self.format == WeightFormat::Q4 { WeightFormat::Int8 } else { self.format };
        if kept.contains(layer) { quantize::higher(format) } else { format }
    }

    /// The layers that have 4 bits in the source and will have 4 bits: they stay as they are, unless pruning changed them.
    fn given(&self, formats: &BTreeMap<String, WeightFormat>) -> BTreeMap<String, Q4Blocks> {
        let linear = |model: &TypedModel, layer: &str| model.node_by_name(layer).ok()?.op_as::<Linear>().cloned();
        let stays = |(layer, _): &(&String, &Q4Blocks)| {
            formats.get(*layer) == Some(&WeightFormat::Q4)
                && linear(self.model, layer) == linear(&self.imported.model, layer)
        };
        self.imported.q4.iter().filter(stays).map(|(layer, blocks)| (layer.clone(), blocks.clone())).collect()
    }

    /// The other layers of 4 bits, rounded with regard to what their inputs are like.
    fn calibrated(
        &self,
        formats: &BTreeMap<String, WeightFormat>,
        given: &BTreeMap<String, Q4Blocks>,
    ) -> Result<BTreeMap<String, Q4Blocks>> {
        let model = self.model;
        let rounds =
            |(layer, format): &(&String, &WeightFormat)| **format == WeightFormat::Q4 && !given.contains_key(*layer);
        let layers: Vec<String> = formats.iter().filter(rounds).map(|(layer, _)| layer.clone()).collect();
        let observations = Observations::default();
        let watched = Decoder::new(observations.watch(model, &layers)?)?;
        self.documents.calibrate(&watched, self.progress)?;
        drop(watched);

        self.progress.count("rounding each layer's weights", layers.len());
        let next = AtomicUsize::new(0);
        let done = Mutex::new(BTreeMap::new());
        let work = || -> Result<()> {
            while let Some(layer) = layers.get(next.fetch_add(1, Ordering::Relaxed)) {
                let blocks = round(model, layer, &observations)?;
                done.lock().map_err(|_| anyhow!("rounding a layer panicked"))?.insert(layer.clone(), blocks);
                self.progress.advance();
            }
            Ok(())
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(layers.len());
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().map_err(|_| anyhow!("rounding a layer panicked"))?)
        })?;
        done.into_inner().map_err(|_| anyhow!("rounding a layer panicked"))
    }
}

fn round(model: &TypedModel, layer: &str, observations: &Observations) -> Result<Q4Blocks> {
    let node = model.node_by_name(layer).map_err(|error| anyhow!("{error:#}"))?;
    let linear = node.op_as::<Linear>().with_context(|| format!("{layer} is no linear layer"))?;
    let moments = observations.take(layer).with_context(|| format!("{layer} was never run"))?;
    quantize::round_q4(&linear.dense(), linear.outputs(), linear.inputs(), &moments)
        .map_err(|reason| anyhow!("{layer}: {reason}"))
}

/// Every layer with its format, by name.
fn account(model: &TypedModel) -> Vec<QuantizedLayer> {
    let layer = |node: &TypedNode| {
        let format = quantize::format_of(node)?;
        Some(QuantizedLayer { name: node.name.clone(), format, error: None })
    };
    let mut layers: Vec<_> = model.nodes().iter().filter_map(layer).collect();
    layers.sort_by(|a, b| a.name.cmp(&b.name));
    layers
}
