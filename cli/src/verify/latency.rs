//! How long the source and the package take for the same examples, in turns.

use std::time::Instant;

use anyhow::{Context as _, Result};
use emberlite::engine::{CacheFormat, Chunk, Decoder, Sequence, Want};
use emberlite::model::Model;
use serde::Serialize;

use super::answers::{self, Answers};
use super::statistics::percentile;
use crate::data::{Data, Example, Input, Kind};
use crate::progress::Progress;

/// How many examples are asked at once.
const BATCHES: [usize; 3] = [1, 8, 32];
/// How many runs come before those that count.
const WARM: usize = 2;
/// The longest prompt of a language model.
const PROMPT: usize = 128;
/// How many tokens come after it.
const TOKENS: usize = 32;
/// A side that wins so many of the rounds is faster.
const TOLD: f64 = 0.75;
/// So long each row is measured at most, when it has been measured five times.
const SECONDS: f64 = 4.0;
const LEAST_ROUNDS: usize = 5;

/// How long both take for the same work.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timing {
    /// The work.
    pub what: String,
    /// How many examples or tokens that is.
    pub count: usize,
    /// How often each was measured.
    pub rounds: usize,
    /// The source, in single precision.
    pub source: Spread,
    /// The package.
    pub packed: Spread,
    /// In which part of the rounds the package was faster.
    pub faster: f64,
}

/// Times of the same work, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one.
    pub median_ms: f64,
    /// What a quarter of them lie below.
    pub low_ms: f64,
    /// What a quarter of them lie above.
    pub high_ms: f64,
}

impl Timing {
    /// How often faster the package is; 1 where it won too few of the rounds, or lost too few, for a difference to be told.
    pub fn speed(&self) -> f64 {
        let told = self.faster >= TOLD || self.faster <= 1.0 - TOLD;
        if told { self.source.median_ms / self.packed.median_ms.max(f64::MIN_POSITIVE) } else { 1.0 }
    }
}

impl Spread {
    fn of(times: &[f64]) -> Self {
        let at = |part| percentile(times, part);
        Self { median_ms: at(0.5), low_ms: at(0.25), high_ms: at(0.75) }
    }
}

/// Measures both in turns, `rounds` times each at most.
///
/// # Errors
/// A model that fails.
pub fn measure(source: &Model, packed: &Model, data: &Data, rounds: usize, progress: &Progress) -> Result<Vec<Timing>> {
    if rounds == 0 {
        return Ok(Vec::new());
    }
    if Kind::of(source.manifest()) == Kind::Tokens {
        return generate(source, packed, data, rounds, progress);
    }
    let mut timings = Vec::new();
    for count in BATCHES.into_iter().filter(|count| *count <= data.examples.len()) {
        progress.count(format!("measuring {count} at once"), rounds);
        let examples = typical(data, count);
        let ask = |model: &Model| Answers::of(model, &examples, &Progress::silent()).map(drop);
        let (before, after) = in_turns(rounds, progress, || ask(source), || ask(packed))?;
        let what = if count == 1 { "1 example".to_owned() } else { format!("{count} examples at once") };
        timings.push(timing(what, count, &before, &after));
    }
    Ok(timings)
}

/// So many of the examples, evenly from the shortest to the longest; a single one is of middle length.
fn typical(data: &Data, count: usize) -> Data {
    let mut order: Vec<&Example> = data.examples.iter().collect();
    order.sort_by_key(|example| match &example.input {
        Input::Text(text) => text.len(),
        Input::Pair(first, second) => first.len() + second.len(),
        Input::Payload(_) => 0,
    });
    let place = |index: usize| (2 * index + 1) * order.len() / (2 * count);
    Data { name: data.name.clone(), examples: (0..count).map(|index| order[place(index)].clone()).collect() }
}

fn timing(what: String, count: usize, source: &[f64], packed: &[f64]) -> Timing {
    let wins = source.iter().zip(packed).filter(|(source, packed)| packed < source).count();
    let faster = wins as f64 / source.len().max(1) as f64;
    Timing { what, count, rounds: source.len(), source: Spread::of(source), packed: Spread::of(packed), faster }
}

/// Milliseconds of either work; they take turns at going first.
fn in_turns(
    rounds: usize,
    progress: &Progress,
    mut source: impl FnMut() -> Result<()>,
    mut packed: impl FnMut() -> Result<()>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let time = |work: &mut dyn FnMut() -> Result<()>| -> Result<f64> {
        let start = Instant::now();
        work()?;
        Ok(start.elapsed().as_secs_f64() * 1000.0)
    };
    for _ in 0..WARM {
        source()?;
        packed()?;
    }
    let start = Instant::now();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round >= LEAST_ROUNDS && start.elapsed().as_secs_f64() > SECONDS {
            break;
        }
        if round % 2 == 0 {
            before.push(time(&mut source)?);
            after.push(time(&mut packed)?);
        } else {
            after.push(time(&mut packed)?);
            before.push(time(&mut source)?);
        }
        progress.advance();
    }
    Ok((before, after))
}

/// A prompt, and the tokens after it one by one.
fn generate(source: &Model, packed: &Model, data: &Data, rounds: usize, progress: &Progress) -> Result<Vec<Timing>> {
    let sides = [Side::of(source, data)?, Side::of(packed, data)?];
    let [source, packed] = &sides;
    progress.count("measuring prompts", rounds);
    let prompt = in_turns(rounds, progress, || source.prompt(), || packed.prompt())?;
    progress.count("measuring the tokens after them", rounds);
    let tokens = in_turns(rounds, progress, || source.tokens(), || packed.tokens())?;
    let (read, written) = (source.prompt.len(), TOKENS);
    Ok(vec![
        timing(format!("a prompt of {read} tokens"), read, &prompt.0, &prompt.1),
        timing(format!("{written} tokens after it"), written, &tokens.0, &tokens.1),
    ])
}

/// A language model with a prompt.
struct Side<'a> {
    decoder: &'a Decoder,
    prompt: Vec<u32>,
    /// What has read it.
    read: Sequence,
}

impl<'a> Side<'a> {
    fn of(model: &'a Model, data: &Data) -> Result<Self> {
        let decoder = model.decoder().context("the package holds no language model")?;
        let pieces = answers::pieces_of(model, data)?;
        let longest = pieces.into_iter().max_by_key(|piece| piece.ids.len()).context("there is no text")?;
        let room = model.manifest().generate.as_ref().map_or(0, |spec| spec.context_tokens);
        let most = PROMPT.min(room.saturating_sub(TOKENS)).max(1);
        let mut side = Self {
            decoder,
            prompt: longest.ids.into_iter().take(most).collect(),
            read: decoder.sequence(CacheFormat::F32),
        };
        decoder.run(&mut [Chunk { sequence: &mut side.read, tokens: &side.prompt, want: Want::Nothing }])?;
        Ok(side)
    }

    fn prompt(&self) -> Result<()> {
        let mut sequence = self.decoder.sequence(CacheFormat::F32);
        self.decoder.run(&mut [Chunk { sequence: &mut sequence, tokens: &self.prompt, want: Want::Last }])?;
        Ok(())
    }

    fn tokens(&self) -> Result<()> {
        let mut sequence = self.read.fork(self.read.len());
        for token in self.prompt.iter().cycle().take(TOKENS) {
            let chunk = Chunk { sequence: &mut sequence, tokens: std::slice::from_ref(token), want: Want::Last };
            self.decoder.run(&mut [chunk])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_that_are_timed_are_of_every_length() {
        let example = |len: usize| Example { name: len.to_string(), input: Input::Text("a".repeat(len)), label: None };
        let data = Data { name: String::new(), examples: [9, 1, 5, 3, 7].map(example).to_vec() };
        let names = |count| typical(&data, count).examples.into_iter().map(|example| example.name).collect::<Vec<_>>();
        assert_eq!(names(1), ["5"]);
        assert_eq!(names(2), ["3", "7"]);
        assert_eq!(names(5), ["1", "3", "5", "7", "9"]);
    }

    #[test]
    fn a_side_that_wins_now_and_then_is_not_faster() {
        let speed = |packed: [f64; 4]| timing(String::new(), 1, &[10.0, 12.0, 8.0, 10.0], &packed).speed();
        assert_eq!(speed([5.0, 6.0, 4.0, 5.0]), 2.0);
        assert_eq!(speed([5.0, 15.0, 4.0, 15.0]), 1.0);
        assert_eq!(speed([20.0, 24.0, 16.0, 20.0]), 0.5);
    }
}
