//! `emberlite verify`: what its flags say, over what the recipe says.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use emberlite_cli::data::Columns;
use emberlite_cli::recipe::Recipe;
use emberlite_cli::verify::{self, Settings, Thresholds, report};

use crate::output::print;

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// What the package was made from: a model file, a recipe, the folder of one, or a Hugging Face folder
    source: PathBuf,
    /// The package (.ember)
    package: PathBuf,
    /// The recipe for a model file that has none beside it
    #[arg(long)]
    recipe: Option<PathBuf>,
    /// The examples: a .csv, .tsv or .jsonl file, a folder of images, or a plain text, a line each (for a language model as a
    /// whole) [default: built-in sentences or random inputs]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The column or field that holds the text [default: text, input, or the only one]
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// The column or field that holds what the model should answer [default: label, category, intent, class or target;
    /// score for pairs]
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
    /// The columns of two texts that are compared or judged together [default: sentence1 and sentence2, query and text, …]
    #[arg(long, num_args = 2, value_names = ["FIRST", "SECOND"])]
    pair: Option<Vec<String>>,
    /// The most examples to ask, evenly from first to last [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// How often each work is timed at most; 0 for not at all
    #[arg(long, value_name = "N", default_value_t = 30)]
    rounds: usize,
    /// Write a report as one HTML file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    thresholds: Thresholds,
}

impl Verify {
    pub(super) fn run(self) -> Result<()> {
        let (recipe, recipe_text) = match &self.recipe {
            Some(file) => (Recipe { model: self.source, ..Recipe::read(file)? }, Recipe::text(file)),
            None => (Recipe::find(&self.source)?, Recipe::text(&self.source)),
        };
        let said: Settings = recipe.verify.clone();
        let pair = self.pair.and_then(|pair| <[String; 2]>::try_from(pair).ok()).map(|[first, second]| (first, second));
        let columns = said.columns();
        let thresholds = self.thresholds.or(&said.thresholds);
        let report = verify::verify(verify::Request {
            recipe,
            recipe_text,
            package: self.package,
            columns: Columns {
                text: self.column.or(columns.text),
                label: self.label.or(columns.label),
                pair: pair.or(columns.pair),
            },
            data: self.data.or(said.data),
            limit: self.limit,
            rounds: self.rounds,
            thresholds: thresholds.clone(),
        })?;
        if let Some(file) = &self.report {
            report::write(file, &report)?;
        }
        print(&report, self.json)?;
        Ok(thresholds.check(&report.comparison)?)
    }
}
