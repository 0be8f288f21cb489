//! The step of a language model that is under way: which sequences read how many tokens, and where their caches are.
//!
//! Operators that must know find it in a thread-local that lasts as long as the run ([`Step::during`]).

use std::cell::Cell;
use std::sync::Arc;

use emberlite_kernels::cache::{Block, Room};
use tract_nnef::internal::*;

thread_local! {
    static STEP: Cell<Option<Step>> = const { Cell::new(None) };
}

/// The logits of which of a chunk's tokens are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// Of none.
    Nothing,
    /// Of the last.
    Last,
    /// Of all.
    All,
}

impl Want {
    /// Which of so many tokens.
    pub(crate) fn rows(self, tokens: usize) -> std::ops::Range<usize> {
        match self {
            Self::Nothing => 0..0,
            Self::Last => tokens.saturating_sub(1)..tokens,
            Self::All => 0..tokens,
        }
    }
}

/// What one sequence reads in a step.
#[derive(Debug)]
pub(crate) struct Part {
    /// The sequence's cache, with room for the new tokens.
    pub(crate) blocks: Vec<Arc<Block>>,
    /// How many tokens it has read before.
    pub(crate) past: usize,
    /// How many it reads now.
    pub(crate) tokens: usize,
    /// Whose logits are wanted.
    pub(crate) want: Want,
}

/// A step: what each sequence reads, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) parts: Vec<Part>,
    /// Where each layer's keys and values are.
    pub(crate) rooms: Arc<[Room]>,
    /// The angles of every token, by what they follow from.
    angles: Vec<Angles>,
}

/// Cosines and sines of the tokens of a step, `[tokens][2][frequencies]`.
#[derive(Debug)]
struct Angles {
    frequencies: Vec<f32>,
    magnitude: f32,
    table: Arc<[f32]>,
}

/// A step that is under way, and the one that it put aside: a thread that waits for others may take up another run.
struct UnderWay<'a> {
    step: &'a mut Step,
    outer: Option<Step>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(step) = STEP.replace(self.outer.take()) {
            *self.step = step;
        }
    }
}

/// A step that an operator works with. It is put back whatever happens.
struct Held(Option<Step>);

impl Drop for Held {
    fn drop(&mut self) {
        STEP.set(self.0.take());
    }
}

impl Step {
    pub(crate) fn new(parts: Vec<Part>, rooms: Arc<[Room]>) -> Self {
        Self { parts, rooms, angles: Vec::new() }
    }

    /// Runs `work` with this step under way, on this thread.
    pub(crate) fn during<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let outer = STEP.replace(Some(std::mem::take(self)));
        let _under_way = UnderWay { step: self, outer };
        work()
    }

    /// What `work` makes of the step that is under way.
    ///
    /// # Errors
    /// None is under way: the graph runs without [`crate::engine::Decoder`].
    pub(crate) fn current<R>(work: impl FnOnce(&mut Self) -> TractResult<R>) -> TractResult<R> {
        let mut held = Held(STEP.take());
        let step = held.0.as_mut().context("no step is under way: a language model runs in a decoder alone")?;
        work(step)
    }

    /// How many tokens are read.
    pub(crate) fn tokens(&self) -> usize {
        self.parts.iter().map(|part| part.tokens).sum()
    }

    /// How many rows of logits are wanted.
    pub(crate) fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.want.rows(part.tokens).len()).sum()
    }

    /// The cosines and sines of every token's angles, times `magnitude`: `[tokens][2][frequencies]`.
    pub(crate) fn angles(&mut self, frequencies: &[f32], magnitude: f32) -> Arc<[f32]> {
        let same = |known: &&Angles| known.magnitude == magnitude && known.frequencies == frequencies;
        if let Some(known) = self.angles.iter().find(same) {
            return known.table.clone();
        }
        let places = self.parts.iter().flat_map(|part| part.past..part.past + part.tokens);
        let mut table = Vec::with_capacity(self.tokens() * 2 * frequencies.len());
        for place in places {
            // In single precision first, as those who trained the model did.
            let angle = |frequency: &f32| f64::from(place as f32 * frequency);
            table.extend(frequencies.iter().map(|frequency| angle(frequency).cos() as f32 * magnitude));
            table.extend(frequencies.iter().map(|frequency| angle(frequency).sin() as f32 * magnitude));
        }
        let table: Arc<[f32]> = table.into();
        self.angles.push(Angles { frequencies: frequencies.to_vec(), magnitude, table: table.clone() });
        table
    }
}
