//! Sampling: from the logits of a position to one token.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use super::random::Random;

/// How a request wants its tokens chosen. The order is that of transformers: bias, penalties, temperature, top-k, top-p,
/// min-p.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f32,
    /// Only so many of the likeliest tokens; all of them for `None`.
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together are this probable.
    pub top_p: f32,
    /// Only tokens that are at least this probable, as a share of the likeliest.
    pub min_p: f32,
    /// Divides the logits of tokens that stand in the prompt or the text, multiplies them where they are negative.
    pub repetition_penalty: f32,
    /// Subtracted from the logits of tokens that stand in the text.
    pub presence_penalty: f32,
    /// Subtracted from the logits of tokens, once for each time that they stand in the text.
    pub frequency_penalty: f32,
    /// Added to the logits of tokens.
    pub logit_bias: Vec<(u32, f32)>,
    /// The same seed makes the same text; `None` for any.
    pub seed: Option<u64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: None,
        }
    }
}

impl Sampling {
    /// Whether logits are changed before the likeliest are looked for.
    fn adjusts(&self) -> bool {
        !self.logit_bias.is_empty()
            || self.repetition_penalty != 1.0
            || self.presence_penalty != 0.0
            || self.frequency_penalty != 0.0
    }
}

/// Chooses the tokens of one text.
#[derive(Debug)]
pub(super) struct Sampler {
    sampling: Sampling,
    random: Random,
    /// How often each token stands in the text.
    counts: HashMap<u32, u32>,
    /// The tokens of the prompt, where the repetition penalty asks for them.
    prompt: HashSet<u32>,
    logits: Vec<f32>,
    candidates: Vec<Candidate>,
}

/// A token with its logit, later its weight.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    weight: f32,
    id: u32,
}

impl Candidate {
    /// The heavier first, then the one of the lesser id: so that the order never depends on the algorithm.
    fn order(&self, other: &Self) -> Ordering {
        other.weight.total_cmp(&self.weight).then(self.id.cmp(&other.id))
    }
}

impl Sampler {
    /// `seed` is the request's, or one that was made up for it.
    pub(super) fn new(sampling: &Sampling, seed: u64, choice: usize, prompt: &[u32]) -> Self {
        let repeats = sampling.repetition_penalty != 1.0;
        Self {
            sampling: sampling.clone(),
            random: Random::new(seed, choice),
            counts: HashMap::new(),
            prompt: if repeats { prompt.iter().copied().collect() } else { HashSet::new() },
            logits: Vec::new(),
            candidates: Vec::new(),
        }
    }

    /// Chooses a token among those that are `allowed`, and counts it. `None` where none is.
    pub(super) fn choose(&mut self, logits: &[f32], allowed: Option<&dyn Fn(u32) -> bool>) -> Option<u32> {
        let mut own = std::mem::take(&mut self.logits);
        let logits = if self.sampling.adjusts() {
            own.clear();
            own.extend_from_slice(logits);
            self.adjust(&mut own);
            &own
        } else {
            logits
        };
        let chosen = match self.sampling.temperature == 0.0 || self.sampling.top_k == Some(1) {
            true => likeliest(logits, allowed),
            false => self.draw(logits, allowed),
        };
        self.logits = own;
        if let Some(id) = chosen {
            *self.counts.entry(id).or_default() += 1;
        }
        chosen
    }

    fn adjust(&self, logits: &mut [f32]) {
        let Sampling { repetition_penalty, presence_penalty, frequency_penalty, logit_bias, .. } = &self.sampling;
        for (id, bias) in logit_bias {
            if let Some(logit) = logits.get_mut(*id as usize) {
                *logit += bias;
            }
        }
        let new = self.counts.keys().filter(|id| !self.prompt.contains(id));
        for id in self.prompt.iter().chain(new).filter(|_| *repetition_penalty != 1.0) {
            if let Some(logit) = logits.get_mut(*id as usize) {
                *logit = if *logit > 0.0 { *logit / repetition_penalty } else { *logit * repetition_penalty };
            }
        }
        for (id, count) in &self.counts {
            if let Some(logit) = logits.get_mut(*id as usize) {
                *logit -= presence_penalty + frequency_penalty * *count as f32;
            }
        }
    }

    fn draw(&mut self, logits: &[f32], allowed: Option<&dyn Fn(u32) -> bool>) -> Option<u32> {
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        let all = (0..).zip(logits).map(|(id, &weight)| Candidate { weight, id });
        match allowed {
            Some(allowed) => candidates.extend(all.filter(|candidate| allowed(candidate.id))),
            None => candidates.extend(all),
        }
        let number = self.random.unit();
        let chosen = self.among(&mut candidates, number);
        self.candidates = candidates;
        chosen
    }

    /// The candidate that a number from 0 to 1 falls on.
    fn among(&self, candidates: &mut Vec<Candidate>, number: f64) -> Option<u32> {
        let Sampling { temperature, top_k, top_p, min_p, .. } = self.sampling;
        let greatest = candidates.iter().map(|candidate| candidate.weight).fold(f32::NEG_INFINITY, f32::max);
        if let Some(top_k) = top_k.filter(|top_k| *top_k > 0 && *top_k < candidates.len()) {
            candidates.select_nth_unstable_by(top_k - 1, Candidate::order);
            candidates.truncate(top_k);
        }
        for candidate in candidates.iter_mut() {
            candidate.weight = ((candidate.weight - greatest) / temperature).exp();
        }
        if top_p < 1.0 {
            keep_likeliest(candidates, f64::from(top_p));
        }
        if min_p > 0.0 {
            candidates.retain(|candidate| candidate.weight >= min_p);
        }
        let total: f64 = candidates.iter().map(|candidate| f64::from(candidate.weight)).sum();
        let mut left = number * total;
        for candidate in candidates.iter() {
            left -= f64::from(candidate.weight);
            if left < 0.0 {
                return Some(candidate.id);
            }
        }
        candidates.iter().filter(|candidate| candidate.weight > 0.0).min_by(|a, b| a.order(b)).map(|kept| kept.id)
    }
}

fn likeliest(logits: &[f32], allowed: Option<&dyn Fn(u32) -> bool>) -> Option<u32> {
    let mut best: Option<Candidate> = None;
    for (id, &weight) in (0..).zip(logits) {
        if best.is_none_or(|best| weight > best.weight) && allowed.is_none_or(|allowed| allowed(id)) {
            best = Some(Candidate { weight, id });
        }
    }
    best.map(|best| best.id)
}

/// Keeps the fewest of the heaviest candidates that make up `share` of all.
fn keep_likeliest(candidates: &mut Vec<Candidate>, share: f64) {
    let total: f64 = candidates.iter().map(|candidate| f64::from(candidate.weight)).sum();
    let (mut sorted, mut kept, mut sum) = (0, 0, 0.0);
    while kept < candidates.len() && (kept == 0 || sum < share * total) {
        if kept == sorted {
            let rest = &mut candidates[sorted..];
            let more = (4 * sorted).max(64).min(rest.len());
            if more < rest.len() {
                rest.select_nth_unstable_by(more - 1, Candidate::order);
            }
            rest[..more].sort_unstable_by(Candidate::order);
            sorted += more;
        }
        sum += f64::from(candidates[kept].weight);
        kept += 1;
    }
    candidates.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [1.0, 3.0, 2.0, -1.0, 0.0];

    /// How often each token is chosen in a thousand times.
    fn counts(sampling: Sampling) -> [usize; 5] {
        let mut counts = [0; 5];
        for seed in 0..1000 {
            let mut sampler = Sampler::new(&sampling, seed, 0, &[]);
            counts[sampler.choose(&LOGITS, None).unwrap() as usize] += 1;
        }
        counts
    }

    #[test]
    fn tokens_come_as_often_as_they_are_probable() {
        let weights = LOGITS.map(f32::exp);
        let total: f32 = weights.iter().sum();
        for (count, weight) in counts(Sampling::default()).iter().zip(weights) {
            assert!((*count as f32 / 1000.0 - weight / total).abs() < 0.05);
        }
    }

    #[test]
    fn temperature_0_takes_the_likeliest() {
        assert_eq!(counts(Sampling { temperature: 0.0, ..Sampling::default() }), [0, 1000, 0, 0, 0]);
    }

    #[test]
    fn what_is_cut_off_never_comes() {
        let zero = |sampling| counts(sampling).map(|count| count == 0);
        assert_eq!(zero(Sampling { top_k: Some(2), ..Sampling::default() }), [true, false, false, true, true]);
        // 0.644, 0.237, 0.087, 0.032, 0.012
        assert_eq!(zero(Sampling { top_p: 0.6, ..Sampling::default() }), [true, false, true, true, true]);
        assert_eq!(zero(Sampling { top_p: 0.9, ..Sampling::default() }), [false, false, false, true, true]);
        assert_eq!(zero(Sampling { min_p: 0.1, ..Sampling::default() }), [false, false, false, true, true]);
        assert_eq!(zero(Sampling { top_p: 0.0, ..Sampling::default() }), [true, false, true, true, true]);
    }

    #[test]
    fn penalties_count_what_was_chosen() {
        let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
        let first = |sampling: Sampling, prompt: &[u32]| {
            let mut sampler = Sampler::new(&sampling, 0, 0, prompt);
            [0; 3].map(|_| sampler.choose(&LOGITS, None).unwrap())
        };
        assert_eq!(first(Sampling { presence_penalty: 1.5, ..greedy.clone() }, &[]), [1, 2, 1]);
        assert_eq!(first(Sampling { frequency_penalty: 1.5, ..greedy.clone() }, &[]), [1, 2, 1]);
        assert_eq!(first(Sampling { repetition_penalty: 2.0, ..greedy.clone() }, &[1]), [2, 1, 1]);
        assert_eq!(first(Sampling { logit_bias: vec![(4, 100.0)], ..greedy }, &[]), [4, 4, 4]);
    }

    #[test]
    fn only_what_is_allowed_is_chosen() {
        for temperature in [0.0, 1.0] {
            let mut sampler = Sampler::new(&Sampling { temperature, ..Sampling::default() }, 0, 0, &[]);
            assert_eq!(sampler.choose(&LOGITS, Some(&|id| id == 3)), Some(3));
            assert_eq!(sampler.choose(&LOGITS, Some(&|_| false)), None);
        }
    }

    #[test]
    fn a_share_is_kept_of_many_as_of_few() {
        let mut candidates: Vec<_> = (0..5000).map(|id| Candidate { weight: 1.0, id }).collect();
        keep_likeliest(&mut candidates, 0.5);
        assert_eq!(candidates.iter().map(|candidate| candidate.id).collect::<Vec<_>>(), (0..2500).collect::<Vec<_>>());
    }
}
