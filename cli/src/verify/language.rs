//! How a language model predicts the tokens of texts.

use anyhow::Result;
use emberlite::engine::{CacheFormat, Chunk, Decoder, Isa, Want};
use emberlite::model::{Agreement, GenerateSpec};
use emberlite::tokenizer::{Limit, Overlong, Text, Tokenizer};

use crate::quantize;

/// The most tokens that are read at once, each piece of a text for itself.
const PIECE: usize = 512;
/// Tokens of one step.
pub(crate) const STEP: usize = 128;

/// Token ids that are read from nothing on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which of the texts it is of.
    pub text: usize,
    /// The ids, the token that begins a text among them.
    pub ids: Vec<u32>,
}

impl Piece {
    /// How many of its tokens are predicted: the first is not.
    pub fn predicted(&self) -> usize {
        self.ids.len().saturating_sub(1)
    }
}

/// The tokens of texts in pieces that each begin as a text does, at most `most` tokens in all.
///
/// # Errors
/// A text that the tokenizer refuses.
pub fn pieces(texts: &[String], tokenizer: &Tokenizer, spec: &GenerateSpec, most: usize) -> Result<Vec<Piece>> {
    let longest = PIECE.min(spec.context_tokens);
    let (mut pieces, mut left) = (Vec::new(), most);
    for (text, content) in texts.iter().enumerate() {
        let limit = Limit { max_tokens: left.max(2), overlong: Overlong::CutEnd };
        let ids = tokenizer.encode(&Text::One(content.clone()), "", limit)?.ids;
        let mut ids: Vec<u32> = ids.into_iter().filter_map(|id| u32::try_from(id).ok()).collect();
        if spec.begin_token.is_some() && ids.first().copied() == spec.begin_token {
            ids.remove(0);
        }
        ids.retain(|id| (*id as usize) < spec.vocabulary);
        let begin: Vec<u32> = spec.begin_token.into_iter().collect();
        for piece in ids.chunks(longest.saturating_sub(begin.len()).max(1)) {
            pieces.push(Piece { text, ids: [&begin, piece].concat() });
        }
        left = left.saturating_sub(ids.len());
        if left == 0 {
            break;
        }
    }
    Ok(pieces)
}

/// How a model predicted the tokens of some pieces.
#[derive(Clone, Debug, Default)]
pub struct Predictions {
    /// Less the logarithm of each token's probability.
    losses: Vec<f64>,
    /// The token that was the likeliest in the place of each.
    likeliest: Vec<usize>,
    /// Its logit.
    greatest: Vec<f32>,
    /// Of every `stride`-th place the logarithms of all tokens' probabilities.
    distributions: Vec<Vec<f32>>,
    stride: usize,
}

impl Predictions {
    /// Those of a model, piece by piece; `read` is called after each. Of at most `room` numbers whole distributions are
    /// kept, at even distances.
    ///
    /// # Errors
    /// A model that fails.
    pub fn of(decoder: &Decoder, pieces: &[Piece], room: usize, read: impl Fn()) -> Result<Self> {
        let places: usize = pieces.iter().map(Piece::predicted).sum();
        let stride = if room == 0 { usize::MAX } else { (places * decoder.vocabulary()).div_ceil(room).max(1) };
        let mut predictions = Self { stride, ..Self::default() };
        for Piece { ids, .. } in pieces {
            let mut sequence = decoder.sequence(CacheFormat::F32);
            let mut next = ids.iter().skip(1);
            for tokens in ids.chunks(STEP) {
                let mut chunks = [Chunk { sequence: &mut sequence, tokens, want: Want::All }];
                let logits = decoder.run(&mut chunks)?;
                for (row, token) in logits.rows(0).zip(next.by_ref()) {
                    predictions.add(row, *token, room > 0);
                }
            }
            read();
        }
        Ok(predictions)
    }

    fn add(&mut self, logits: &[f32], token: u32, keeps: bool) {
        let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap_or(0);
        let greatest = logits.get(best).copied().unwrap_or(0.0);
        let sum: f64 = logits.iter().map(|logit| f64::from(logit - greatest).exp()).sum();
        let own = logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
        if keeps && self.losses.len().is_multiple_of(self.stride) {
            let total = sum.ln() as f32 + greatest;
            self.distributions.push(logits.iter().map(|logit| logit - total).collect());
        }
        self.losses.push(sum.ln() - f64::from(own - greatest));
        self.likeliest.push(best);
        self.greatest.push(greatest);
    }

    /// How many tokens were predicted.
    pub fn tokens(&self) -> usize {
        self.losses.len()
    }

    /// Less the logarithm of each token's probability.
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// The perplexity, with five digits.
    pub fn perplexity(&self) -> f64 {
        let mean = self.losses.iter().sum::<f64>() / self.losses.len().max(1) as f64;
        let perplexity = mean.exp();
        format!("{perplexity:.4e}").parse().unwrap_or(perplexity)
    }

    /// In which part of the places the same token is the likeliest.
    pub fn same_likeliest(&self, other: &Self) -> f64 {
        let same = self.likeliest.iter().zip(&other.likeliest).filter(|(a, b)| a == b).count();
        same as f64 / self.tokens().max(1) as f64
    }

    /// The mean divergence of Kullback and Leibler of another model's distributions from these, in nats; none where
    /// they are not of the same tokens.
    pub fn divergence(&self, other: &Self) -> Option<f64> {
        let alike = |(a, b): (&Vec<f32>, &Vec<f32>)| a.len() == b.len();
        let pairs = || self.distributions.iter().zip(&other.distributions);
        if self.distributions.is_empty() || self.tokens() != other.tokens() || !pairs().all(alike) {
            return None;
        }
        let sum: f64 = pairs().map(|(a, b)| divergence(a, b)).sum();
        Some((sum / self.distributions.len() as f64).max(0.0))
    }

    /// How near another model's predictions are.
    pub fn agreement(&self, other: &Self) -> Agreement {
        let differences = self.greatest.iter().zip(&other.greatest).map(|(a, b)| f64::from((a - b).abs()));
        Agreement {
            texts: self.tokens(),
            isa: Isa::current().to_string(),
            cosine: None,
            labels: Some(self.same_likeliest(other)),
            max_abs_difference: quantize::rounded(differences.fold(0.0, f64::max)),
        }
    }
}

/// The divergence of `q` from `p`, both logarithms of probabilities.
fn divergence(p: &[f32], q: &[f32]) -> f64 {
    let term = |(p, q): (&f32, &f32)| {
        let (p, q) = (f64::from(*p), f64::from(*q));
        if p == f64::NEG_INFINITY { 0.0 } else { p.exp() * (p - q) }
    };
    p.iter().zip(q).map(term).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Predictions {
        /// Predictions of which nothing but the losses is known.
        pub(in crate::verify) fn of_losses(losses: &[f64]) -> Self {
            Self { losses: losses.to_vec(), likeliest: vec![0; losses.len()], ..Self::default() }
        }
    }

    #[test]
    fn the_perplexity_of_even_logits_is_how_many_tokens_there_are() {
        let mut even = Predictions::default();
        for token in 0..5 {
            even.add(&[0.5; 50], token, false);
        }
        assert_eq!((even.tokens(), even.perplexity()), (5, 50.0));
        let mut sure = Predictions::default();
        sure.add(&[0.0, 1000.0], 1, false);
        assert_eq!(sure.perplexity(), 1.0);
    }

    #[test]
    fn distributions_diverge_as_numpy_says() {
        // numpy 2.4: sum(p * log(p / q)) of p = softmax([1, 2, 3]) and q = softmax([3, 2, 1.5]).
        let of = |logits: &[f32]| {
            let mut predictions = Predictions { stride: 1, ..Predictions::default() };
            predictions.add(logits, 0, true);
            predictions
        };
        let (p, q) = (of(&[1.0, 2.0, 3.0]), of(&[3.0, 2.0, 1.5]));
        assert!((p.divergence(&q).unwrap() - 0.8745631069850361).abs() < 1e-6, "{:?}", p.divergence(&q));
        assert_eq!(p.divergence(&p), Some(0.0));
        assert_eq!(p.same_likeliest(&q), 0.0);
        assert_eq!(p.divergence(&of(&[1.0, 2.0])), None);
    }
}
