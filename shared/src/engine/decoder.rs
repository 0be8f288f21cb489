//! A language model made ready to run: steps that read tokens of several sequences at once.

use std::sync::Arc;

use emberlite_kernels::cache::Extent;
use tract_core::internal::DimLike as _;
use tract_core::prelude::{DatumType, Tensor, TypedModel};

use super::sequence::CacheShape;
use super::{CacheFormat, EngineError, Plan, Sequence, Want, tensor};
use crate::ops::CausalAttention;
use crate::ops::step::{Part, Step};

/// Tokens that a sequence is to read in a step.
#[derive(Debug)]
pub struct Chunk<'a> {
    /// The sequence.
    pub sequence: &'a mut Sequence,
    /// What comes after what it has read.
    pub tokens: &'a [u32],
    /// The logits of which of the tokens.
    pub want: Want,
}

/// The logits of a step, `f32` `[rows, vocabulary]`.
#[derive(Clone, Debug)]
pub struct Logits {
    tensor: Arc<Tensor>,
    vocabulary: usize,
    /// By chunk, the first of its rows; then how many there are.
    starts: Vec<usize>,
}

impl Logits {
    /// The logits of a chunk's tokens, each `vocabulary` long: as many rows as it wanted.
    pub fn rows(&self, chunk: usize) -> impl Iterator<Item = &[f32]> {
        let numbers = self.tensor.try_as_plain_ram().ok().and_then(|tensor| tensor.as_slice::<f32>().ok());
        let bound = |index: usize| self.starts.get(index).map_or(0, |start| start * self.vocabulary);
        let rows = numbers.and_then(|numbers| numbers.get(bound(chunk)..bound(chunk + 1)));
        rows.unwrap_or_default().chunks_exact(self.vocabulary)
    }
}

/// A language model made ready to run. Clones share it; what a sequence has read is its own ([`Sequence`]).
///
/// Its graph has one input of tokens, `i64` `[1, T]`, and one output of logits, `f32` `[1, R, vocabulary]`.
#[derive(Clone, Debug)]
pub struct Decoder {
    plan: Plan,
    shape: CacheShape,
    vocabulary: usize,
}

impl Decoder {
    /// Plans the model, and finds in its graph what its caches are like.
    ///
    /// # Errors
    /// [`EngineError::Decoder`] for a graph with other inputs and outputs, or without an attention in every layer;
    /// [`EngineError::Plan`] where tract refuses it.
    pub fn new(model: TypedModel) -> Result<Self, EngineError> {
        let shape = cache_shape(&model)?;
        let vocabulary = vocabulary(&model).map_err(EngineError::Decoder)?;
        Ok(Self { plan: Plan::new(model)?, shape, vocabulary })
    }

    /// A sequence that has read nothing.
    pub fn sequence(&self, format: CacheFormat) -> Sequence {
        Sequence::new(self.shape.clone(), format)
    }

    /// How many bytes of cache a token takes.
    pub fn token_bytes(&self, format: CacheFormat) -> usize {
        self.shape.block_bytes(format) / emberlite_kernels::cache::BLOCK_TOKENS
    }

    /// How long a row of logits is.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Reads the tokens of every chunk. On an error no sequence is changed in length.
    ///
    /// # Errors
    /// [`EngineError::UnknownId`] for a token that the model does not know; [`EngineError::Run`] for a chunk without tokens, a
    /// sequence of another model, or an operator that fails.
    pub fn run(&self, chunks: &mut [Chunk<'_>]) -> Result<Logits, EngineError> {
        let mut starts = vec![0];
        let mut rows = 0;
        for (index, chunk) in chunks.iter().enumerate() {
            if chunk.tokens.is_empty() {
                return Err(EngineError::Run(format!("chunk {index} has no tokens")));
            }
            if chunk.sequence.shape != self.shape {
                return Err(EngineError::Run(format!("the sequence of chunk {index} is of another model")));
            }
            rows += chunk.want.rows(chunk.tokens.len()).len();
            starts.push(rows);
        }
        let tokens: Vec<i64> = chunks.iter().flat_map(|chunk| chunk.tokens).map(|token| i64::from(*token)).collect();
        if tokens.is_empty() {
            return Err(EngineError::Run("a step without tokens".to_owned()));
        }
        let tokens = tensor::from_vec(&[1, tokens.len()], tokens).map_err(EngineError::Run)?;
        let lend = |chunk: &mut Chunk<'_>| Part {
            past: chunk.sequence.len(),
            tokens: chunk.tokens.len(),
            want: chunk.want,
            blocks: chunk.sequence.lend(chunk.tokens.len()),
        };
        let mut step = Step::new(chunks.iter_mut().map(lend).collect(), self.shape.rooms.clone());
        let logits = self.plan.run_step(tokens, &mut step).and_then(|tensor| self.check(tensor, rows));
        for (chunk, part) in chunks.iter_mut().zip(step.parts) {
            chunk.sequence.take_back(part.blocks, if logits.is_ok() { part.tokens } else { 0 });
        }
        Ok(Logits { tensor: logits?, vocabulary: self.vocabulary, starts })
    }

    fn check(&self, tensor: Arc<Tensor>, rows: usize) -> Result<Arc<Tensor>, EngineError> {
        let expected = [1, rows, self.vocabulary];
        if tensor.datum_type() == DatumType::F32 && tensor.shape() == expected {
            return Ok(tensor);
        }
        Err(EngineError::Run(format!("expected logits F32 {expected:?}, got {tensor:?}")))
    }
}

/// The rooms of every layer, one after the other.
fn cache_shape(model: &TypedModel) -> Result<CacheShape, EngineError> {
    let mut layers: Vec<&CausalAttention> =
        model.nodes().iter().filter_map(|node| node.op_as::<CausalAttention>()).collect();
    layers.sort_by_key(|attention| attention.layer());
    if layers.is_empty() {
        return Err(EngineError::Decoder("it has no attention over a cache".to_owned()));
    }
    let mut extent = Extent::default();
    let mut rooms = Vec::with_capacity(layers.len());
    for (layer, attention) in layers.into_iter().enumerate() {
        if attention.layer() != layer {
            let got = attention.layer();
            return Err(EngineError::Decoder(format!(
                "expected one attention for layer {layer}, then came layer {got}"
            )));
        }
        let room = attention.room(extent);
        extent = room.end();
        rooms.push(room);
    }
    Ok(CacheShape { rooms: rooms.into(), extent })
}

/// The width of the logits.
fn vocabulary(model: &TypedModel) -> Result<usize, String> {
    let (&[input], &[output]) = (&*model.inputs, &*model.outputs) else {
        return Err(format!("it has {} inputs and {} outputs", model.inputs.len(), model.outputs.len()));
    };
    let fact = |outlet| model.outlet_fact(outlet).map_err(|error| error.to_string());
    let (input, output) = (fact(input)?, fact(output)?);
    if input.datum_type != DatumType::I64 || input.rank() != 2 {
        return Err(format!("expected tokens I64 [1, T], got {input:?}"));
    }
    let width = output.shape.last().and_then(|width| width.to_usize().ok());
    match width.filter(|width| *width > 0 && output.datum_type == DatumType::F32 && output.rank() == 3) {
        Some(width) => Ok(width),
        None => Err(format!("expected logits F32 [1, R, vocabulary], got {output:?}")),
    }
}

#[cfg(test)]
mod tests;
