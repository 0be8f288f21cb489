//! The worker of a model: a thread that owns the sequences and computes a step for all requests together.
//!
//! A step reads a token, or some drafted ones, of every text that is being written, and a part of one prompt: so many
//! requests share one pass through the weights, and a long prompt holds up nobody.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::choice::Choice;
use super::lookup;
use super::prefix::{Kept, Prefixes, common};
use super::random::Random;
use super::{Event, FinishReason, Request, Settings};
use crate::engine::{Chunk, Decoder, Sequence, Want};
use crate::tokenizer::TokenBytes;

/// How many tokens of a prompt a step reads where texts are being written, and where none are.
const SHARED_CHUNK: usize = 64;
const LONE_CHUNK: usize = 256;
/// How many texts may be written together with tokens drafted: with more, a step computes rather than reads weights.
const DRAFTING: usize = 4;
/// How many texts are written at once.
const MOST: usize = 64;

/// A request on its way to the worker.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) request: Request,
    pub(super) events: UnboundedSender<Event>,
}

/// A prompt that is being read.
#[derive(Debug)]
struct Reading {
    job: Job,
    sequence: Sequence,
}

struct Worker {
    decoder: Decoder,
    table: Arc<TokenBytes>,
    ends: Vec<u32>,
    settings: Settings,
    jobs: mpsc::Receiver<Job>,
    /// Is told of every step that was computed, by when it began.
    ran: Box<dyn Fn(Instant) + Send>,
    /// Requests that wait for memory.
    waiting: VecDeque<Job>,
    /// Prompts that are being read in turns, the next one first.
    reading: VecDeque<Reading>,
    writing: Vec<Choice>,
    prefixes: Prefixes,
    costs: Costs,
    last_step: Duration,
}

/// Starts the worker of a model; it ends once nobody can send it anything and nothing is left to do.
pub(super) fn start(
    decoder: Decoder,
    table: Arc<TokenBytes>,
    ends: Vec<u32>,
    settings: Settings,
    ran: impl Fn(Instant) + Send + 'static,
) -> io::Result<(mpsc::Sender<Job>, JoinHandle<()>)> {
    let (sender, jobs) = mpsc::channel();
    let worker = Worker {
        decoder,
        table,
        ends,
        settings,
        jobs,
        ran: Box::new(ran),
        waiting: VecDeque::new(),
        reading: VecDeque::new(),
        writing: Vec::new(),
        prefixes: Prefixes::default(),
        costs: Costs::default(),
        last_step: Duration::ZERO,
    };
    let thread = std::thread::Builder::new().name("generate".to_owned()).spawn(move || worker.run())?;
    Ok((sender, thread))
}

impl Worker {
    fn run(mut self) {
        while self.take_jobs() {
            self.drop_abandoned();
            self.end_late();
            self.admit();
            self.step();
            self.retire();
        }
    }

    /// Takes what has come; waits where there is nothing to do. `false` once nothing can come any more.
    fn take_jobs(&mut self) -> bool {
        if self.waiting.is_empty() && self.reading.is_empty() && self.writing.is_empty() {
            match self.jobs.recv() {
                Ok(job) => self.waiting.push_back(job),
                Err(mpsc::RecvError) => return false,
            }
        }
        self.waiting.extend(self.jobs.try_iter());
        true
    }

    /// Ends what nobody waits for.
    fn drop_abandoned(&mut self) {
        self.waiting.retain(|job| !job.events.is_closed());
        let (abandoned, reading) =
            self.reading.drain(..).partition::<VecDeque<_>, _>(|reading| reading.job.events.is_closed());
        self.reading = reading;
        abandoned.into_iter().for_each(|reading| self.keep(reading));
        let abandoned = self.writing.iter_mut().filter(|choice| choice.is_abandoned());
        let texts = abandoned.map(|choice| choice.ended = true).count();
        if texts > 0 {
            tracing::debug!(texts, "request abandoned");
        }
        self.retire();
    }

    /// Ends what would not be ready for its deadline after another step.
    fn end_late(&mut self) {
        let end = Instant::now() + self.last_step;
        let is_late = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= end);
        self.waiting.retain(|job| {
            let late = is_late(job.request.deadline);
            if late {
                job.end_unread();
            }
            !late
        });
        let (late, reading) = self.reading.drain(..).partition(|reading| is_late(reading.job.request.deadline));
        self.reading = reading;
        for reading in late {
            reading.job.end_unread();
            self.keep(reading);
        }
        let late = self.writing.iter_mut().filter(|choice| is_late(choice.deadline));
        late.for_each(|choice| choice.finish(FinishReason::Length));
        self.retire();
    }

    /// Begins to read prompts, as far as there is memory for their texts. Who comes first is served first.
    fn admit(&mut self) {
        while let Some(job) = self.waiting.front() {
            let idle = self.reading.is_empty() && self.writing.is_empty();
            let reserved: usize = self.reading.iter().map(|reading| self.bytes(&reading.job.request)).sum();
            let writing: usize = self.writing.iter().map(|choice| choice.most_tokens()).sum();
            let used = reserved + writing * self.decoder.token_bytes(self.settings.cache_format);
            let count =
                self.writing.len() + self.reading.iter().map(|reading| reading.job.request.choices).sum::<usize>();
            let fits = used + self.bytes(&job.request) <= self.settings.cache_bytes
                && count + job.request.choices <= MOST.max(job.request.choices);
            if !fits && !idle {
                return;
            }
            let Some(job) = self.waiting.pop_front() else { return };
            let left = self.settings.cache_bytes.saturating_sub(used + self.bytes(&job.request));
            let sequence = self.begun(&job.request.prompt);
            self.prefixes.shrink(left);
            drop(job.events.send(Event::Started { cached_tokens: sequence.len() }));
            self.reading.push_back(Reading { job, sequence });
        }
    }

    /// The most memory that a request's keys and values may take.
    fn bytes(&self, request: &Request) -> usize {
        let tokens = request.prompt.len() + request.choices * request.max_tokens;
        tokens * self.decoder.token_bytes(self.settings.cache_format)
    }

    /// A sequence that has read as much of a prompt as any has, but for its last token, whose logits are wanted.
    fn begun(&mut self, prompt: &[u32]) -> Sequence {
        let prompt = &prompt[..prompt.len().saturating_sub(1)];
        let kept = self.prefixes.longest(prompt);
        let writing = self.writing.iter().map(|choice| (&choice.sequence, &choice.tokens));
        let reading = self.reading.iter().map(|reading| (&reading.sequence, &reading.job.request.prompt));
        let live = writing.chain(reading).map(|(sequence, tokens)| {
            let read = &tokens[..sequence.len().min(tokens.len())];
            (common(read, prompt), sequence)
        });
        match live.max_by_key(|(length, _)| *length) {
            Some((length, sequence)) if length > kept => sequence.fork(length),
            _ => self.prefixes.fork(prompt).unwrap_or_else(|| self.decoder.sequence(self.settings.cache_format)),
        }
    }

    /// Computes one step.
    fn step(&mut self) {
        let drafting = self.settings.speculate && self.writing.len() <= DRAFTING && self.reading.is_empty();
        let costs = &self.costs;
        let inputs: Vec<Vec<u32>> =
            self.writing.iter_mut().map(|choice| choice.input(drafting, |drafted| costs.ratio(drafted))).collect();
        let most = if self.writing.is_empty() { LONE_CHUNK } else { SHARED_CHUNK };
        let part = self.reading.front().map(|reading| {
            let start = reading.sequence.len();
            let end = (start + most).min(reading.job.request.prompt.len());
            (start..end, end == reading.job.request.prompt.len())
        });
        let mut chunks: Vec<Chunk<'_>> = self
            .writing
            .iter_mut()
            .zip(&inputs)
            .map(|(choice, tokens)| Chunk { sequence: &mut choice.sequence, tokens, want: Want::All })
            .collect();
        if let (Some((part, last)), Some(reading)) = (&part, self.reading.front_mut()) {
            let tokens = &reading.job.request.prompt[part.clone()];
            let want = if *last { Want::Last } else { Want::Nothing };
            chunks.push(Chunk { sequence: &mut reading.sequence, tokens, want });
        }
        if chunks.is_empty() {
            return;
        }
        let start = Instant::now();
        let outcome = self.decoder.run(&mut chunks);
        drop(chunks);
        self.last_step = start.elapsed();
        let logits = match outcome {
            Ok(logits) => logits,
            Err(error) => return self.fail(&error.to_string()),
        };
        (self.ran)(start);
        if part.is_none() && inputs.len() == 1 {
            self.costs.learn(inputs[0].len() - 1, self.last_step);
        }
        for (place, (choice, input)) in self.writing.iter_mut().zip(&inputs).enumerate() {
            if let Err(error) = choice.go_on(input, logits.rows(place), &self.ends) {
                choice.fail(&error);
            }
        }
        let Some((_, last)) = part else { return };
        let Some(reading) = self.reading.pop_front() else { return };
        match logits.rows(inputs.len()).next() {
            Some(row) if last => self.write(reading, row),
            _ => self.reading.push_back(reading),
        }
    }

    /// Begins the texts of a prompt that has been read.
    fn write(&mut self, reading: Reading, row: &[f32]) {
        let Reading { job: Job { request, events }, sequence } = reading;
        let seed = request.sampling.seed.unwrap_or_else(Random::any_seed);
        let forks: Vec<_> = (1..request.choices).map(|_| sequence.fork(sequence.len())).collect();
        for (index, sequence) in std::iter::once(sequence).chain(forks).enumerate() {
            let mut choice = Choice::new(&request, index, seed, sequence, &self.table, events.clone());
            if request.max_tokens == 0 {
                choice.finish(FinishReason::Length);
            } else if let Err(error) = choice.go_on(&[], std::iter::once(row), &self.ends) {
                choice.fail(&error);
            }
            self.writing.push(choice);
        }
    }

    /// What a step could not compute has failed for everybody in it.
    fn fail(&mut self, error: &str) {
        tracing::error!(%error, "step failed");
        self.writing.iter_mut().for_each(|choice| choice.fail(error));
        self.writing.clear();
        if let Some(reading) = self.reading.pop_front() {
            drop(reading.job.events.send(Event::Failed(error.to_owned())));
        }
    }

    /// Takes texts that have ended from those that are written, and keeps their sequences.
    fn retire(&mut self) {
        let mut place = 0;
        while place < self.writing.len() {
            if !self.writing[place].ended {
                place += 1;
                continue;
            }
            let Choice { mut tokens, sequence, .. } = self.writing.remove(place);
            tokens.truncate(sequence.len());
            self.prefixes.keep(Kept { tokens, sequence });
        }
        self.prefixes.shrink(self.settings.cache_bytes);
    }

    fn keep(&mut self, reading: Reading) {
        let mut tokens = reading.job.request.prompt;
        tokens.truncate(reading.sequence.len());
        self.prefixes.keep(Kept { tokens, sequence: reading.sequence });
    }
}

impl Job {
    /// Ends a request whose time is up before anything was written.
    fn end_unread(&self) {
        let first = self.request.first_choice;
        for choice in first..first + self.request.choices {
            drop(self.events.send(Event::Finished { choice, reason: FinishReason::Length, tokens: 0 }));
        }
    }
}

/// How long a step takes with so many drafted tokens, measured as it goes.
#[derive(Debug, Default)]
struct Costs {
    seconds: [Option<f32>; lookup::LONGEST + 1],
}

impl Costs {
    /// What is taken before it was measured: each drafted token adds a tenth.
    const GUESS: f32 = 0.1;

    fn learn(&mut self, drafted: usize, took: Duration) {
        let Some(known) = self.seconds.get_mut(drafted) else { return };
        let took = took.as_secs_f32();
        *known = Some(known.map_or(took, |known| known + 0.1 * (took - known)));
    }

    /// How many times as long a step takes with so many drafted tokens as without.
    fn ratio(&self, drafted: usize) -> f32 {
        let seconds = |drafted: usize| self.seconds.get(drafted).copied().flatten();
        match (seconds(0), seconds(drafted)) {
            (Some(alone), Some(together)) if alone > 0.0 => together / alone,
            _ => 1.0 + Self::GUESS * drafted as f32,
        }
    }
}

#[cfg(test)]
mod tests;
