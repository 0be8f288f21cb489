//! How long the source and the package take for the same examples, in turns.

use std::time::Instant;

use anyhow::{Context as _, Result};
use emberlite::engine::{CacheFormat, Chunk, Decoder, Sequence, Want};
use emberlite::model::Model;
use serde::Serialize;

use super::answers::{self, Answers};
use super::statistics::percentile;
use crate::data::{Data, Kind};
use crate::progress::Progress;

/// How many examples are asked at once.
const BATCHES: [usize; 3] = [1, 8, 32];
/// How many runs come before those that count.
const WARM: usize = 2;
/// The longest prompt of a language model.
const PROMPT: usize = 128;
/// How many tokens come after it.
const TOKENS: usize = 32;
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
    /// How often faster the package is; 1 where the middle halves of both overlap, so that it can't be told.
    pub fn speed(&self) -> f64 {
        let apart = self.packed.high_ms < self.source.low_ms || self.source.high_ms < self.packed.low_ms;
        if apart { self.source.median_ms / self.packed.median_ms.max(f64::MIN_POSITIVE) } else { 1.0 }
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
        let examples = data.clone().spread(count);
        let ask = |model: &Model| Answers::of(model, &examples, &Progress::silent()).map(drop);
        let (before, after) = in_turns(rounds, progress, || ask(source), || ask(packed))?;
        let what = if count == 1 { "1 example".to_owned() } else { format!("{count} examples at once") };
        timings.push(timing(what, count, &before, &after));
    }
    Ok(timings)
}

fn timing(what: String, count: usize, source: &[f64], packed: &[f64]) -> Timing {
    Timing { what, count, rounds: source.len(), source: Spread::of(source), packed: Spread::of(packed) }
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
