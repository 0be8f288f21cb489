//! Texts that a language model is measured on and calibrated with: their perplexity, and how two models agree on them.

use anyhow::{Result, ensure};
use emberlite::engine::{CacheFormat, Chunk, Decoder, Isa, Want};
use emberlite::model::{Agreement, GenerateSpec};
use emberlite::tokenizer::{Limit, Overlong, Text, Tokenizer};

use crate::progress::Progress;
use crate::quantize;
use crate::recipe::Recipe;
use crate::texts::{self, TextFile};

/// The most tokens that are read at once, each piece of a text for itself.
const PIECE: usize = 512;
/// The most tokens that a perplexity is measured on.
const MEASURED: usize = 8192;
/// The most tokens to calibrate with.
const CALIBRATED: usize = 8192;
/// The most tokens whose predictions are compared number by number.
const COMPARED: usize = 128;
/// Tokens of one step.
const STEP: usize = 128;

/// Token ids in pieces, to measure on and to calibrate with.
#[derive(Debug)]
pub(super) struct Documents {
    name: String,
    calibration_name: String,
    measured: Vec<Vec<u32>>,
    calibration: Vec<Vec<u32>>,
}

impl Documents {
    /// Those that the recipe names: what it says of one stands for the other too, and where it says nothing there are
    /// built-in sentences.
    ///
    /// # Errors
    /// A file that can't be read, or one too short to predict a token.
    pub(super) fn read(recipe: &Recipe, tokenizer: &Tokenizer, spec: &GenerateSpec) -> Result<Self> {
        let (calibration, perplexity) = (recipe.quantize.calibration.as_ref(), recipe.perplexity.as_ref());
        let pieces = |file: Option<&TextFile>, most: usize| -> Result<Vec<Vec<u32>>> {
            let texts = match file {
                Some(file) => file.documents()?,
                None => vec![texts::sentences().join("\n")],
            };
            let pieces = pieces(&texts, tokenizer, spec, most)?;
            let name = name(file);
            ensure!(pieces.iter().any(|piece| piece.len() > 1), "{name} has too few tokens to predict one of them");
            Ok(pieces)
        };
        let file = perplexity.or(calibration);
        Ok(Self {
            name: name(file),
            calibration_name: name(calibration.or(perplexity)),
            measured: pieces(file, MEASURED)?,
            calibration: pieces(calibration.or(perplexity), CALIBRATED)?,
        })
    }

    /// What the texts are called that the perplexity is measured on.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What the texts are called that are there to calibrate with.
    pub(super) fn calibration_name(&self) -> &str {
        &self.calibration_name
    }

    /// Runs a model over the texts to calibrate with, its logits included, whose layer is to be observed too.
    pub(super) fn calibrate(&self, decoder: &Decoder, progress: &Progress) -> Result<()> {
        progress.count("reading the calibration text", self.calibration.len());
        for piece in &self.calibration {
            let mut sequence = decoder.sequence(CacheFormat::F32);
            for tokens in piece.chunks(STEP) {
                decoder.run(&mut [Chunk { sequence: &mut sequence, tokens, want: Want::All }])?;
            }
            progress.advance();
        }
        Ok(())
    }

    /// What a model predicts after each of the first tokens of the texts to calibrate with: rows of logits.
    pub(super) fn logits(&self, decoder: &Decoder) -> Result<Vec<Vec<f32>>> {
        let mut rows = Vec::with_capacity(COMPARED);
        for piece in &self.calibration {
            let tokens = &piece[..piece.len().min(COMPARED - rows.len())];
            if tokens.is_empty() {
                break;
            }
            let mut sequence = decoder.sequence(CacheFormat::F32);
            let logits = decoder.run(&mut [Chunk { sequence: &mut sequence, tokens, want: Want::All }])?;
            rows.extend(logits.rows(0).map(<[f32]>::to_vec));
        }
        Ok(rows)
    }

    /// How a model predicts each token of the texts.
    pub(super) fn measure(&self, decoder: &Decoder, step: &str, progress: &Progress) -> Result<Measured> {
        progress.count(step, self.measured.len());
        let mut measured = Measured::default();
        for piece in &self.measured {
            let mut sequence = decoder.sequence(CacheFormat::F32);
            let mut next = piece.iter().skip(1);
            for tokens in piece.chunks(STEP) {
                let mut chunks = [Chunk { sequence: &mut sequence, tokens, want: Want::All }];
                let logits = decoder.run(&mut chunks)?;
                for (row, token) in logits.rows(0).zip(next.by_ref()) {
                    measured.add(row, *token);
                }
            }
            progress.advance();
        }
        Ok(measured)
    }
}

fn name(file: Option<&TextFile>) -> String {
    file.map_or_else(|| texts::BUILT_IN.to_owned(), TextFile::name)
}

/// The tokens of texts in pieces that each begin as a text does, at most `most` tokens in all.
fn pieces(texts: &[String], tokenizer: &Tokenizer, spec: &GenerateSpec, most: usize) -> Result<Vec<Vec<u32>>> {
    let longest = PIECE.min(spec.context_tokens);
    let (mut pieces, mut left) = (Vec::new(), most);
    for text in texts {
        let limit = Limit { max_tokens: left.max(2), overlong: Overlong::CutEnd };
        let ids = tokenizer.encode(&Text::One(text.clone()), "", limit)?.ids;
        let mut ids: Vec<u32> = ids.into_iter().filter_map(|id| u32::try_from(id).ok()).collect();
        if spec.begin_token.is_some() && ids.first().copied() == spec.begin_token {
            ids.remove(0);
        }
        ids.retain(|id| (*id as usize) < spec.vocabulary);
        let begin: Vec<u32> = spec.begin_token.into_iter().collect();
        for piece in ids.chunks(longest.saturating_sub(begin.len()).max(1)) {
            pieces.push([&begin, piece].concat());
        }
        left = left.saturating_sub(ids.len());
        if left == 0 {
            break;
        }
    }
    Ok(pieces)
}

/// How a model predicted the tokens of some texts.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    /// Less the logarithm of each token's probability.
    losses: Vec<f64>,
    /// The token that was the likeliest in the place of each.
    likeliest: Vec<usize>,
    /// Its logit.
    greatest: Vec<f32>,
}

impl Measured {
    fn add(&mut self, logits: &[f32], token: u32) {
        let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap_or(0);
        let greatest = logits.get(best).copied().unwrap_or(0.0);
        let sum: f64 = logits.iter().map(|logit| f64::from(logit - greatest).exp()).sum();
        let own = logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
        self.losses.push(sum.ln() - f64::from(own - greatest));
        self.likeliest.push(best);
        self.greatest.push(greatest);
    }

    /// How many tokens were predicted.
    pub(super) fn tokens(&self) -> usize {
        self.losses.len()
    }

    /// The perplexity, with five digits.
    pub(super) fn perplexity(&self) -> f64 {
        let mean = self.losses.iter().sum::<f64>() / self.losses.len().max(1) as f64;
        let perplexity = mean.exp();
        format!("{perplexity:.4e}").parse().unwrap_or(perplexity)
    }

    /// How near another model's predictions are.
    pub(super) fn agreement(&self, other: &Self) -> Agreement {
        let same = self.likeliest.iter().zip(&other.likeliest).filter(|(a, b)| a == b).count();
        let differences = self.greatest.iter().zip(&other.greatest).map(|(a, b)| f64::from((a - b).abs()));
        Agreement {
            texts: self.tokens(),
            isa: Isa::current().to_string(),
            cosine: None,
            labels: Some(same as f64 / self.tokens().max(1) as f64),
            max_abs_difference: quantize::rounded(differences.fold(0.0, f64::max)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_perplexity_of_even_logits_is_how_many_tokens_there_are() {
        let mut measured = Measured::default();
        for token in 0..5 {
            measured.add(&[0.5; 50], token);
        }
        assert_eq!((measured.tokens(), measured.perplexity()), (5, 50.0));
        let mut sure = Measured::default();
        sure.add(&[0.0, 1000.0], 1);
        assert_eq!(sure.perplexity(), 1.0);
    }
}
