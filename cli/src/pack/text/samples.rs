//! Texts that a model is compared on: their tokens in the source's vocabulary and in the package's.

use anyhow::{Result, ensure};
use emberlite::model::{Manifest, TensorSpec, TextSpec};
use emberlite::tokenizer::{Limit, Overlong, Text, Tokenizer, Tokens};
use tract_core::prelude::Tensor;

use super::Texts;
use crate::pack::rows;
use crate::quantize::Probe;
use crate::recipe::Recipe;
use crate::texts::{self, TextFile};
use crate::vocabulary::Trimmed;

/// The most texts to calibrate with.
const TEXTS: usize = 1024;
/// The most tokens of one of them.
const TEXT_TOKENS: usize = 512;

/// A row in both vocabularies.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    source: Tokens,
    packed: Tokens,
}

/// Which of two vocabularies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Source,
    Packed,
}

/// The texts, and how they become inputs of either side.
#[derive(Debug)]
pub(crate) struct Samples {
    name: String,
    texts: Vec<Sample>,
    /// The ids that a random row may have, on both sides.
    ids: Vec<(i64, i64)>,
    inputs: Vec<TensorSpec>,
    source: TextSpec,
    packed: TextSpec,
}

impl Samples {
    /// From the texts to calibrate with, else the corpus, else built-in sentences. `rows` is how many ids the packed
    /// graph has embeddings for, where it can be told.
    pub(super) fn new(
        recipe: &Recipe,
        manifest: &Manifest,
        texts: &Texts,
        corpus: Option<Vec<String>>,
        trimmed: Option<&Trimmed>,
        rows: Option<usize>,
    ) -> Result<Self> {
        let given = recipe.quantize.calibration.as_ref().map(|file| file.read()).transpose()?;
        let file = recipe.quantize.calibration.as_ref().or(recipe.vocabulary.as_ref());
        let name = file.map_or_else(|| texts::BUILT_IN.to_owned(), TextFile::name);
        let chosen = texts::spread(given.or(corpus).unwrap_or_else(texts::sentences), TEXTS);
        let tokenizer = Tokenizer::from_json(&texts.tokenizer)?;
        let limit = Limit { max_tokens: texts.spec.max_tokens.min(TEXT_TOKENS), overlong: Overlong::CutEnd };
        let mut samples = Vec::new();
        for text in chosen {
            let source = tokenizer.encode(&Text::One(text), "", limit)?;
            let ids = trimmed.map_or_else(|| Some(source.ids.clone()), |trimmed| trimmed.ids(&source.ids));
            // A text that needs a removed token has no counterpart to be compared with.
            let Some(ids) = ids.filter(|ids| !ids.is_empty()) else { continue };
            samples.push(Sample { packed: Tokens { ids, segments: source.segments.clone() }, source });
        }
        ensure!(!samples.is_empty(), "every text to calibrate with needs tokens that are not kept");
        let mut ids: Vec<(i64, i64)> = match (trimmed, rows) {
            (Some(trimmed), _) => trimmed.kept.iter().copied().zip(0..).collect(),
            (None, Some(rows)) => (0..rows as i64).map(|id| (id, id)).collect(),
            (None, None) => samples.iter().flat_map(|sample| sample.source.ids.iter().map(|id| (*id, *id))).collect(),
        };
        ids.retain(|(id, _)| *id != texts.spec.padding_id);
        let packed = manifest.text.clone().unwrap_or_else(|| texts.spec.clone());
        Ok(Self { name, texts: samples, ids, inputs: manifest.inputs.clone(), source: texts.spec.clone(), packed })
    }

    /// What the texts are called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// All texts as the packed graph takes them, each by itself.
    pub(super) fn calibration(&self) -> Result<Vec<Vec<Tensor>>> {
        Ok(self.probe(Side::Packed, TEXTS)?.inputs)
    }

    /// The longest row that the model takes.
    pub(crate) fn max_tokens(&self) -> usize {
        self.source.max_tokens
    }

    /// A row of real tokens, `length` of them, from somewhere in all the texts.
    pub(crate) fn real(&self, length: usize, random: &mut fastrand::Rng) -> Sample {
        let both =
            |sample: &Sample| sample.source.ids.iter().copied().zip(sample.packed.ids.clone()).collect::<Vec<_>>();
        let start = random.usize(..self.texts.len());
        let endless = self.texts.iter().cycle().skip(start).flat_map(both);
        Sample::new(endless.take(length), random)
    }

    /// A row of random tokens.
    pub(crate) fn random(&self, length: usize, random: &mut fastrand::Rng) -> Sample {
        let ids: Vec<_> = (0..length).filter_map(|_| random.choice(&self.ids).copied()).collect();
        Sample::new(ids.into_iter(), random)
    }

    /// The inputs for some rows on one side, in the graph's order.
    pub(crate) fn tensors(&self, samples: &[Sample], side: Side) -> Result<Vec<Tensor>> {
        let spec = if side == Side::Source { &self.source } else { &self.packed };
        let of_side = |sample: &Sample| match side {
            Side::Source => sample.source.clone(),
            Side::Packed => sample.packed.clone(),
        };
        rows::tensors(&self.inputs, spec, &samples.iter().map(of_side).collect::<Vec<_>>())
    }

    /// At most `count` of the texts, each by itself.
    pub(super) fn probe(&self, side: Side, count: usize) -> Result<Probe> {
        let chosen = texts::spread((0..self.texts.len()).collect(), count);
        let inputs = chosen.into_iter().map(|index| self.tensors(&self.texts[index..=index], side));
        Ok(Probe { inputs: inputs.collect::<Result<_>>()? })
    }
}

impl Sample {
    /// A row whose second half may belong to the second text of a pair.
    fn new(ids: impl Iterator<Item = (i64, i64)>, random: &mut fastrand::Rng) -> Self {
        let (source, packed): (Vec<i64>, Vec<i64>) = ids.unzip();
        let second = if random.bool() { source.len() / 2 } else { source.len() };
        let segments: Vec<i64> = (0..source.len()).map(|place| i64::from(place >= second)).collect();
        Self { source: Tokens { ids: source, segments: segments.clone() }, packed: Tokens { ids: packed, segments } }
    }
}
