//! Flags of a search and of the proof.

use std::path::PathBuf;

use clap::Args;
use emberlite_cli::pack::Goal;
use emberlite_cli::recipe::Recipe;
use emberlite_cli::verify::{Part, Target};

/// What may be lost, what that is measured on, and what is to be won
#[derive(Debug, Args)]
#[command(next_help_heading = "Search and proof")]
pub(super) struct Search {
    /// Try ways to make the model smaller, and pack it in the best that loses no more than this: 1% of the accuracy, of the
    /// labels where there are none given, of the cosine, of the perplexity
    #[arg(long, value_name = "PART")]
    max_loss: Option<Part>,
    /// What is to become small
    #[arg(long, requires = "max_loss", default_value = "latency")]
    target: Target,
    /// How many ways are measured at most [default: 40]
    #[arg(long, value_name = "N", requires = "max_loss")]
    trials: Option<usize>,
    /// Examples that the loss is measured on, with or without labels: a .csv, .tsv or .jsonl file, a folder of images, or a
    /// text, a line each [default: built-in sentences or random inputs]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The column or field of the data that holds what the model should answer [default: label, category, intent, class or
    /// target; score for pairs]
    #[arg(long, value_name = "NAME", requires = "data")]
    label: Option<String>,
    /// Write a report as one HTML file: what was lost, what was won, the worst cases
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
}

impl Search {
    /// What is said here goes before what the recipe says.
    pub(super) fn apply(&self, recipe: &mut Recipe, column: Option<&String>) {
        let settings = &mut recipe.verify;
        if self.data.is_some() {
            settings.column = column.cloned().or(settings.column.take());
        }
        settings.data = self.data.clone().or(settings.data.take());
        settings.label = self.label.clone().or(settings.label.take());
    }

    pub(super) fn goal(&self) -> Option<Goal> {
        self.max_loss.map(|max_loss| Goal { max_loss: max_loss.0, target: self.target, trials: self.trials })
    }
}
