//! Inputs to measure with: real texts of any length, random rows within what the manifest says, prompts and contexts.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use emberlite::engine::{CacheFormat, Chunk, Decoder, Sequence, Want};
use emberlite::model::{Manifest, Model, Task};
use emberlite::tokenizer::{Limit, Overlong, Text, Tokenizer, Tokens};
use tract_core::prelude::Tensor;

use crate::pack::rows;
use crate::pack::samples::{Sampler, Words};
use crate::texts;

/// What keys and values take where nothing else is said: the functions' default.
const CACHE: CacheFormat = CacheFormat::F16;
/// How much of a context is read in a step before anything is measured.
const STEP: usize = 128;

/// What a run is given.
#[derive(Clone, Debug)]
pub struct Inputs(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// In the graph's order.
    Tensors(Vec<Tensor>),
    /// Of a language model: what each sequence has read already, and what it reads in a run.
    Step { read: Vec<Vec<u32>>, next: Vec<Vec<u32>> },
}

impl Inputs {
    /// Inputs in the graph's order, of a model that is no language model.
    pub fn tensors(tensors: Vec<Tensor>) -> Self {
        Self(Kind::Tensors(tensors))
    }
}

/// Inputs of `batch` rows: for a model of texts each of `length` tokens, special ones included, for a language model prompts
/// of that length. Other models have rows of their own length.
///
/// # Errors
/// More tokens than the model reads, several rows for a model that takes one, or bounds in the manifest that no number is
/// within.
pub fn inputs(model: &Model, batch: usize, length: usize) -> Result<Inputs> {
    let manifest = model.manifest();
    check(manifest, batch, length)?;
    if manifest.task == Task::Generate {
        let next = prompts(model, batch, length)?;
        return Ok(Inputs(Kind::Step { read: vec![Vec::new(); batch], next }));
    }
    let tensors = match (&manifest.text, model.tokenizer()) {
        (Some(spec), Some(tokenizer)) => {
            let ids = endless(tokenizer, batch, length)?;
            let row = |ids: Vec<i64>| Tokens { segments: vec![0; ids.len()], ids };
            rows::tensors(&manifest.inputs, spec, &ids.into_iter().map(row).collect::<Vec<_>>())?
        }
        _ => Sampler::of(0, model.ids(), &Words::new()).inputs(manifest, batch)?,
    };
    Ok(Inputs(Kind::Tensors(tensors)))
}

/// A step in which each of `batch` sequences of a language model reads one token, its `length`th.
///
/// # Errors
/// A model of another task, or more tokens than it reads.
pub fn decoding(model: &Model, batch: usize, length: usize) -> Result<Inputs> {
    let manifest = model.manifest();
    ensure!(manifest.task == Task::Generate, "only a language model decodes, this one has the task {}", manifest.task);
    check(manifest, batch, length)?;
    let read = prompts(model, batch, length)?;
    let split = |mut tokens: Vec<u32>| {
        let last = tokens.split_off(tokens.len() - 1);
        (tokens, last)
    };
    let (read, next) = read.into_iter().map(split).unzip();
    Ok(Inputs(Kind::Step { read, next }))
}

/// The most tokens that a row may have, where that is bounded.
pub(super) fn longest(manifest: &Manifest) -> Option<usize> {
    let text = manifest.text.as_ref().map(|spec| spec.max_tokens);
    text.or_else(|| manifest.generate.as_ref().map(|spec| spec.context_tokens))
}

/// Whether several rows fit into one run.
pub(super) fn takes_batches(manifest: &Manifest) -> bool {
    manifest.task == Task::Generate || manifest.inputs.iter().any(|input| input.is_batched())
}

fn check(manifest: &Manifest, batch: usize, length: usize) -> Result<()> {
    ensure!(batch > 0, "expected a batch of at least 1");
    ensure!(batch == 1 || takes_batches(manifest), "the model takes one row at a time, got a batch of {batch}");
    if let Some(longest) = longest(manifest) {
        ensure!(length > 0, "expected a length of at least 1 token");
        ensure!(length <= longest, "the model reads at most {longest} tokens, got a length of {length}");
    }
    Ok(())
}

/// The tokens of the built-in sentences, over and over, each row from another place.
fn endless(tokenizer: &Tokenizer, batch: usize, length: usize) -> Result<Vec<Vec<i64>>> {
    let limit = Limit { max_tokens: usize::MAX, overlong: Overlong::CutEnd };
    let mut all = Vec::new();
    for text in texts::sentences() {
        all.extend(tokenizer.encode(&Text::One(text), "", limit)?.ids);
    }
    ensure!(!all.is_empty(), "the model's tokenizer makes no tokens of the built-in sentences");
    let start = |row: usize| (row * all.len() / batch) % all.len();
    Ok((0..batch).map(|row| all.iter().copied().cycle().skip(start(row)).take(length).collect()).collect())
}

fn prompts(model: &Model, batch: usize, length: usize) -> Result<Vec<Vec<u32>>> {
    let tokenizer = model.tokenizer().context("the language model has no tokenizer")?;
    let vocabulary = decoder(model)?.vocabulary();
    // A tokenizer may have tokens that the model has no row for.
    let token = |id: i64| u32::try_from(id).ok().filter(|id| (*id as usize) < vocabulary).unwrap_or(0);
    let rows = endless(tokenizer, batch, length)?;
    Ok(rows.into_iter().map(|row| row.into_iter().map(token).collect()).collect())
}

fn decoder(model: &Model) -> Result<&Decoder> {
    model.decoder().context("the package holds no language model")
}

/// Runs of the same inputs.
pub(super) struct Runs<'a> {
    model: &'a Model,
    inputs: &'a Inputs,
    /// Of a language model; as long as `read` before every run.
    sequences: Vec<Sequence>,
}

impl<'a> Runs<'a> {
    pub(super) fn new(model: &'a Model, inputs: &'a Inputs) -> Result<Self> {
        let mut sequences = Vec::new();
        if let Kind::Step { read, .. } = &inputs.0 {
            let decoder = decoder(model)?;
            for tokens in read {
                let mut sequence = decoder.sequence(CACHE);
                for tokens in tokens.chunks(STEP) {
                    decoder.run(&mut [Chunk { sequence: &mut sequence, tokens, want: Want::Nothing }])?;
                }
                sequences.push(sequence);
            }
        }
        Ok(Self { model, inputs, sequences })
    }

    /// One run, and how long it took.
    pub(super) fn once(&mut self) -> Result<Duration> {
        match &self.inputs.0 {
            Kind::Tensors(tensors) => {
                let tensors = tensors.clone();
                let start = Instant::now();
                self.model.run(tensors).map_err(|error| anyhow!(error))?;
                Ok(start.elapsed())
            }
            Kind::Step { read, next } => {
                let given = self.sequences.iter_mut().zip(next);
                let mut chunks: Vec<_> =
                    given.map(|(sequence, tokens)| Chunk { sequence, tokens, want: Want::Last }).collect();
                let start = Instant::now();
                decoder(self.model)?.run(&mut chunks)?;
                let took = start.elapsed();
                for (sequence, read) in self.sequences.iter_mut().zip(read) {
                    sequence.truncate(read.len());
                }
                Ok(took)
            }
        }
    }
}
