//! One text that is being written: its sequence, its sampler, and what of it was told.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;

use super::lookup::{Lookup, Worth};
use super::sampling::Sampler;
use super::text::Growing;
use super::{Constraint, Event, FinishReason, Request, TokenLogprob, logprobs};
use crate::engine::Sequence;
use crate::tokenizer::TokenBytes;

/// A text that is being written.
#[derive(Debug)]
pub(super) struct Choice {
    index: usize,
    pub(super) sequence: Sequence,
    /// The prompt and the text; the sequence has read all but the last.
    pub(super) tokens: Vec<u32>,
    sampler: Sampler,
    text: Growing,
    constraint: Option<Constraint>,
    logprobs: Option<usize>,
    made: usize,
    max_tokens: usize,
    ignore_end: bool,
    lookup: Lookup,
    worth: Worth,
    pub(super) deadline: Option<Instant>,
    events: UnboundedSender<Event>,
    pub(super) ended: bool,
}

impl Choice {
    /// The choice `index` of a request whose prompt `sequence` has read.
    pub(super) fn new(
        request: &Request,
        index: usize,
        seed: u64,
        sequence: Sequence,
        table: &Arc<TokenBytes>,
        events: UnboundedSender<Event>,
    ) -> Self {
        let stops = request.stop.clone().into();
        Self {
            index: request.first_choice + index,
            sequence,
            tokens: request.prompt.clone(),
            sampler: Sampler::new(&request.sampling, seed, index, &request.prompt),
            text: Growing::new(Arc::clone(table), request.continues, stops),
            constraint: request.constraint.clone(),
            logprobs: request.logprobs,
            made: 0,
            max_tokens: request.max_tokens,
            ignore_end: request.ignore_end,
            lookup: Lookup::default(),
            worth: Worth::default(),
            deadline: request.deadline,
            events,
            ended: false,
        }
    }

    /// Whether nobody listens any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.events.is_closed()
    }

    /// How many tokens the sequence may come to have.
    pub(super) fn most_tokens(&self) -> usize {
        self.tokens.len() + self.max_tokens - self.made
    }

    /// What the next step reads: the last token, and those that may follow it.
    pub(super) fn input(&mut self, speculate: bool, cost: impl Fn(usize) -> f32) -> Vec<u32> {
        let mut input: Vec<u32> = self.tokens.last().copied().into_iter().collect();
        let left = self.max_tokens.saturating_sub(self.made + 1);
        if speculate && left > 0 {
            let length = self.worth.length(cost).min(left);
            if length > 0 {
                input.extend_from_slice(self.lookup.draft(&self.tokens, length));
            }
        }
        input
    }

    /// Goes on by the logits after each token of an input, as long as what was drafted comes true.
    pub(super) fn go_on<'a>(
        &mut self,
        input: &[u32],
        rows: impl Iterator<Item = &'a [f32]>,
        ends: &[u32],
    ) -> Result<(), String> {
        let drafted = input.get(1..).unwrap_or_default();
        let before = self.tokens.len();
        for (place, row) in rows.enumerate() {
            let token = self.add(row, ends)?;
            if self.ended || drafted.get(place) != Some(&token) {
                break;
            }
        }
        if !drafted.is_empty() {
            self.worth.learn(drafted.len(), (self.tokens.len() - before).saturating_sub(1));
        }
        self.sequence.truncate(self.tokens.len().saturating_sub(1));
        Ok(())
    }

    /// Chooses a token and adds it.
    fn add(&mut self, logits: &[f32], ends: &[u32]) -> Result<u32, String> {
        let mask = self.constraint.as_mut().map(Constraint::allowed).transpose()?;
        let is_allowed = mask.as_ref().map(|mask| move |id: u32| (id as usize) < mask.len() && mask.is_allowed(id));
        let allowed = is_allowed.as_ref().map(|allowed| allowed as &dyn Fn(u32) -> bool);
        let token = self.sampler.choose(logits, allowed).ok_or("no token may follow")?;
        self.tokens.push(token);
        self.made += 1;
        if !self.ignore_end && ends.contains(&token) {
            self.finish(FinishReason::Stop);
            return Ok(token);
        }
        let whole = self.constraint.as_mut().map(|constraint| constraint.take(token)).transpose()?.unwrap_or(false);
        let logprob = self.logprobs.map(|alternatives| {
            let (logprob, top) = logprobs::of(logits, token, alternatives);
            TokenLogprob { id: token, logprob, top, offset: 0 }
        });
        let told = self.text.push(token, logprob);
        self.tell(told.text, told.tokens);
        if told.stopped {
            self.end(FinishReason::Stop);
        } else if whole {
            self.finish(FinishReason::Stop);
        } else if self.made >= self.max_tokens {
            self.finish(FinishReason::Length);
        }
        Ok(token)
    }

    /// Tells what was held, and ends.
    pub(super) fn finish(&mut self, reason: FinishReason) {
        let told = self.text.finish();
        self.tell(told.text, told.tokens);
        self.end(if told.stopped { FinishReason::Stop } else { reason });
    }

    /// Ends with an error.
    pub(super) fn fail(&mut self, error: &str) {
        self.send(Event::Failed(error.to_owned()));
        self.ended = true;
    }

    fn tell(&mut self, text: String, tokens: Vec<TokenLogprob>) {
        if !text.is_empty() || !tokens.is_empty() {
            self.send(Event::Piece { choice: self.index, text, tokens });
        }
    }

    fn end(&mut self, reason: FinishReason) {
        self.send(Event::Finished { choice: self.index, reason, tokens: self.made });
        self.ended = true;
    }

    /// Where nobody listens, the next step finds that out.
    fn send(&self, event: Event) {
        drop(self.events.send(event));
    }
}
