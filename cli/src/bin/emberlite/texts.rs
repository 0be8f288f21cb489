//! Flags for models of texts, and for how weights are written down.

use std::path::PathBuf;

use clap::Args;
use emberlite::ops::Pooling;
use emberlite_cli::quantize::{RangeMethod, Scheme, Smooth};
use emberlite_cli::recipe::Recipe;
use emberlite_cli::texts::TextFile;

/// What a model of texts makes of them, and how its weights are written down
#[derive(Debug, Args)]
#[command(next_help_heading = "Weights, and models of texts")]
pub(super) struct Texts {
    /// How weights are written down [default: int8, for language models q4; the report shows what that costs]
    #[arg(long)]
    quantize: Option<Scheme>,
    /// Layers to keep in a higher precision, by names in which * stands for any text; auto keeps those that int8 costs
    /// more than 0.001 of the cosine (repeatable)
    #[arg(long, value_name = "PATTERN")]
    keep: Vec<String>,
    /// Texts to calibrate with and to measure the loss on: one a line, or a .csv, .tsv or .jsonl file [default: built-in
    /// sentences]
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// How the fixed ranges of int8-static are found: min-max, entropy, percentile or percentile=99.9 [default:
    /// percentile=99.99]
    #[arg(long, value_name = "METHOD")]
    range: Option<RangeMethod>,
    /// Divide the inputs of layers by what their weights are multiplied with, so that outliers cost less: by how much is
    /// searched, or said as an exponent from 0 to 1 [default: only with q4-awq]
    #[arg(long, value_name = "EXPONENT", num_args = 0..=1, default_missing_value = "true")]
    smooth: Option<Smooth>,
    /// What the model may lose with --quantize auto: 1 - cosine, or for a language model the divergence of its
    /// predictions [default: 0.01]
    #[arg(long, value_name = "LOSS")]
    budget: Option<f64>,
    /// The text that a language model's perplexity is measured on, before and after [default: the calibration's]
    #[arg(long, value_name = "FILE")]
    perplexity: Option<PathBuf>,
    /// Keep only the tokens that these texts need; a file as for --calibration
    #[arg(long, value_name = "FILE")]
    vocab_from: Option<PathBuf>,
    /// The column or field of those files that holds the text [default: text]
    #[arg(long, value_name = "NAME")]
    pub(super) column: Option<String>,
    /// The longest text in tokens; what is beyond is cut off, and where a language model ends
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// How the tokens' vectors become one: cls, mean, max, mean_sqrt or last_token
    #[arg(long, value_parser = parse_pooling)]
    pooling: Option<Pooling>,
    /// Whether vectors are scaled to a length of 1
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    normalize: Option<bool>,
}

impl Texts {
    /// What is said here goes before what the recipe says.
    pub(super) fn apply(self, recipe: &mut Recipe) {
        let file = |file: Option<PathBuf>| {
            file.map(|file| TextFile { file, column: self.column.clone(), every_second: false })
        };
        recipe.vocabulary = file(self.vocab_from).or(recipe.vocabulary.take());
        recipe.perplexity = file(self.perplexity).or(recipe.perplexity.take());
        let quantize = &mut recipe.quantize;
        quantize.calibration = file(self.calibration).or(quantize.calibration.take());
        quantize.scheme = self.quantize.or(quantize.scheme);
        quantize.range = self.range.or(quantize.range);
        quantize.smooth = self.smooth.or(quantize.smooth);
        quantize.budget = self.budget.or(quantize.budget);
        if !self.keep.is_empty() {
            quantize.keep = self.keep;
        }
        let text = &mut recipe.text;
        text.max_tokens = self.max_tokens.or(text.max_tokens);
        text.pooling = self.pooling.or(text.pooling);
        text.normalize = self.normalize.or(text.normalize);
    }
}

fn parse_pooling(text: &str) -> Result<Pooling, String> {
    serde_json::from_value(text.into()).map_err(|_| "expected cls, mean, max, mean_sqrt or last_token".to_owned())
}
