//! `emberlite pack`: what its flags say, over what the recipe says.

use std::fs;
use std::num::NonZero;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, ValueHint};
use emberlite::model::{ModelName, Task};
use emberlite_cli::pack::{self, Report, Request};
use emberlite_cli::recipe::Recipe;
use emberlite_cli::verify::report;
use emberlite_cli::{jobs, prune, source, trust};

use crate::output::print;
use crate::search::Search;
use crate::texts::Texts;

#[derive(Debug, Args)]
pub(super) struct Pack {
    /// A model file (.onnx, .gguf), a recipe (pack.toml), the folder of one, or a Hugging Face folder
    #[arg(value_hint = ValueHint::AnyPath)]
    source: PathBuf,
    /// Where the package goes [default: NAME.ember]
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// The model's name in URLs and in the store [default: the file's name]
    #[arg(long)]
    name: Option<ModelName>,
    /// What the model is for: predict, embed, classify, rerank or generate [default: what its folder tells]
    #[arg(long, value_parser = parse_task)]
    task: Option<Task>,
    /// The classes in the order of their ids, separated by commas
    #[arg(long, value_delimiter = ',')]
    labels: Vec<String>,
    /// The recipe for a model file that has none beside it
    #[arg(long)]
    recipe: Option<PathBuf>,
    /// What to take out, in this order: neurons, heads, layers, low-rank, channels, trees, and last blocks or weights, each
    /// with the part that goes (repeatable)
    #[arg(long, value_name = "METHOD=PART")]
    prune: Vec<prune::Step>,
    /// A JSON file whose value goes into a request's "input": the package must answer it as the model does (repeatable)
    #[arg(long)]
    input: Vec<PathBuf>,
    /// Import and check the model, and tell what would be packed, and how; nothing is written
    #[arg(long, conflicts_with = "report")]
    dry_run: bool,
    /// How many threads the work uses [default: EMBER_THREADS for models, the machine's cores for the rest]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    search: Search,
    #[command(flatten)]
    texts: Texts,
    #[command(flatten)]
    seal: trust::Seal,
}

impl Pack {
    /// How many threads the work uses, where that is said.
    pub(super) fn threads(&self) -> Option<usize> {
        self.jobs.map(usize::from)
    }

    pub(super) fn run(self) -> Result<()> {
        if let Some(jobs) = self.jobs {
            jobs::set(jobs);
        }
        let mut recipe = match &self.recipe {
            Some(file) => {
                source::check_model(&self.source)?;
                Recipe { model: self.source, ..Recipe::read(file)? }
            }
            None => Recipe::find(&self.source)?,
        };
        recipe.name = self.name.or(recipe.name);
        recipe.task = self.task.or(recipe.task);
        if !self.labels.is_empty() {
            recipe.labels = self.labels;
        }
        if !self.prune.is_empty() {
            recipe.prune = self.prune;
        }
        self.seal.check()?;
        self.search.apply(&mut recipe, self.texts.column.as_ref());
        self.texts.apply(&mut recipe);
        let inputs = self.input.iter().map(|file| {
            let text = fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
            serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", file.display()))
        });
        if let Some(output) = &self.output {
            source::check_place(output)?;
        }
        let inputs = inputs.collect::<Result<_>>()?;
        let report = self.search.report.is_some();
        let request = Request { recipe, inputs, goal: self.search.goal(), report };
        if self.dry_run {
            return print(&pack::plan(&request, self.output.as_deref())?, self.json);
        }
        let packed = pack::pack(&request)?;
        if let (Some(file), Some(report)) = (&self.search.report, &packed.report) {
            report::write(file, report)?;
        }
        let packed = self.seal.apply(packed.accepted()?)?;
        let output = self.output.unwrap_or_else(|| format!("{}.ember", packed.manifest.name).into());
        pack::save(&packed, &output)?;
        print(&Report::new(&packed, &output), self.json)
    }
}

fn parse_task(text: &str) -> Result<Task, String> {
    serde_json::from_value(text.into()).map_err(|_| "expected predict, embed, classify, rerank or generate".to_owned())
}
