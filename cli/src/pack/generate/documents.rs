//! Texts that a language model is measured on and calibrated with: their perplexity, and how two models agree on them.

use anyhow::{Result, ensure};
use emberlite::engine::{CacheFormat, Chunk, Decoder, Want};
use emberlite::model::GenerateSpec;
use emberlite::tokenizer::Tokenizer;

use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::texts::{self, TextFile};
use crate::verify::{Piece, Predictions, STEP, pieces};

/// The most tokens that a perplexity is measured on.
const MEASURED: usize = 8192;
/// The most tokens to calibrate with.
const CALIBRATED: usize = 8192;
/// The most tokens whose predictions are compared number by number.
const COMPARED: usize = 128;

/// Token ids in pieces, to measure on and to calibrate with.
#[derive(Debug)]
pub(super) struct Documents {
    name: String,
    calibration_name: String,
    measured: Vec<Piece>,
    calibration: Vec<Piece>,
}

impl Documents {
    /// Those that the recipe names: what it says of one stands for the other too, and where it says nothing there are
    /// built-in sentences.
    ///
    /// # Errors
    /// A file that can't be read, or one too short to predict a token.
    pub(super) fn read(recipe: &Recipe, tokenizer: &Tokenizer, spec: &GenerateSpec) -> Result<Self> {
        let (calibration, perplexity) = (recipe.quantize.calibration.as_ref(), recipe.perplexity.as_ref());
        let pieces = |file: Option<&TextFile>, most: usize| -> Result<Vec<Piece>> {
            let texts = match file {
                Some(file) => file.documents()?,
                None => vec![texts::sentences().join("\n")],
            };
            let pieces = pieces(&texts, tokenizer, spec, most)?;
            let name = name(file);
            ensure!(
                pieces.iter().any(|piece| piece.predicted() > 0),
                "{name} has too few tokens to predict one of them"
            );
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
            for tokens in piece.ids.chunks(STEP) {
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
            let tokens = &piece.ids[..piece.ids.len().min(COMPARED - rows.len())];
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
    pub(super) fn measure(&self, decoder: &Decoder, step: &str, progress: &Progress) -> Result<Predictions> {
        progress.count(step, self.measured.len());
        Predictions::of(decoder, &self.measured, 0, || progress.advance())
    }
}

fn name(file: Option<&TextFile>) -> String {
    file.map_or_else(|| texts::BUILT_IN.to_owned(), TextFile::name)
}
