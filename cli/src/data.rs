//! Examples to compare models on: files of texts, tables and JSON Lines, folders of images, and what is there without any.

mod built_in;
mod images;
mod kind;
mod label;
mod records;
mod tables;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use emberlite::model::{Manifest, Model, Task};
use emberlite::task::Payload;

use crate::texts;
pub use kind::Kind;
pub use label::Label;
use label::Labels;
use records::Records;

/// The endings of tables, and of JSON Lines.
const TABLES: [&str; 4] = ["csv", "tsv", "jsonl", "ndjson"];

/// Examples, in the order of their file.
#[derive(Clone, Debug)]
pub struct Data {
    /// What they are called: the file's name.
    pub name: String,
    /// The examples; at least one.
    pub examples: Vec<Example>,
}

/// Something to ask a model.
#[derive(Clone, Debug)]
pub struct Example {
    /// Where it is found: `line 17`, or a file's name.
    pub name: String,
    /// What the model gets.
    pub input: Input,
    /// What it should answer, where that is known.
    pub label: Option<Label>,
}

/// What a model gets.
#[derive(Clone, Debug)]
pub enum Input {
    /// A text; for a language model one that it predicts token by token.
    Text(String),
    /// Two texts that are judged together, or a query and a text.
    Pair(String, String),
    /// What a request to a model of tensors carries.
    Payload(Payload),
}

/// Which columns of a table, or fields of JSON Lines, are which. What is not said is found by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The text.
    pub text: Option<String>,
    /// What the model should answer.
    pub label: Option<String>,
    /// The two texts of a pair.
    pub pair: Option<(String, String)>,
}

impl Data {
    /// The examples of a file or a folder for a model: a folder of images, a `.csv`, `.tsv` or `.jsonl` file, or for
    /// models of texts any other file, each of whose lines is a text; to a language model it is one text as a whole.
    ///
    /// # Errors
    /// What can't be read, or does not fit the model.
    pub fn read(path: &Path, columns: &Columns, manifest: &Manifest) -> Result<Self> {
        ensure!(path.exists(), "there is no file or folder {}", path.display());
        let examples = Self::examples(path, columns, manifest);
        let examples = examples.with_context(|| format!("{} can't be used as data", path.display()))?;
        ensure!(!examples.is_empty(), "{} has no examples", path.display());
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Self { name: name.to_string_lossy().into_owned(), examples })
    }

    fn examples(path: &Path, columns: &Columns, manifest: &Manifest) -> Result<Vec<Example>> {
        let labels = Labels::of(manifest);
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let is_table = TABLES.contains(&ending.as_str());
        let mut examples = match (path.is_dir(), Kind::takes_texts(manifest)) {
            (true, _) => {
                ensure!(manifest.image.is_some(), "it is a folder, and the model takes no images");
                images::read(path, columns)?
            }
            (false, texts) if is_table => {
                let records = Records::read(&fs::read(path)?, &ending)?;
                if texts {
                    tables::texts(records, columns, manifest)?
                } else {
                    tables::rows(records, columns, manifest)?
                }
            }
            (false, false) => bail!(
                "the model takes tensors: expected a .csv, .tsv or .jsonl file{}",
                if manifest.image.is_some() { ", or a folder of images" } else { "" }
            ),
            (false, true) => plain(path, columns, manifest)?,
        };
        labels.settle(&mut examples)?;
        Ok(examples)
    }

    /// Examples that are there without a file: sentences, or the model's own examples and random inputs within the bounds
    /// that its manifest gives. They have no labels.
    ///
    /// # Errors
    /// A model that answers none of them.
    pub fn built_in(model: &Model) -> Result<Self> {
        built_in::data(model)
    }

    /// At most `count` of the examples, evenly from first to last.
    #[must_use]
    pub fn spread(self, count: usize) -> Self {
        Self { examples: texts::spread(self.examples, count), ..self }
    }

    /// How many of them tell what the model should answer.
    pub fn labelled(&self) -> usize {
        self.examples.iter().filter(|example| example.label.is_some()).count()
    }
}

/// A file of texts alone.
fn plain(path: &Path, columns: &Columns, manifest: &Manifest) -> Result<Vec<Example>> {
    let named = columns.text.as_ref().or(columns.label.as_ref()).or(columns.pair.as_ref().map(|(first, _)| first));
    if let Some(named) = named {
        bail!("it has no column {named:?}: each line is a text; expected a .csv, .tsv or .jsonl file");
    }
    ensure!(manifest.task != Task::Rerank, "a reranker judges pairs: expected a .csv, .tsv or .jsonl file of them");
    let content = String::from_utf8(fs::read(path)?).context("it is not UTF-8")?;
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let whole = manifest.task == Task::Generate;
    let lines: Vec<_> = if whole { vec![content.as_str()] } else { content.lines().collect() };
    let example = |(index, line): (usize, &str)| {
        let name = if whole { file.to_string() } else { format!("line {}", index + 1) };
        Example { name, input: Input::Text(line.to_owned()), label: None }
    };
    Ok(lines.into_iter().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(example).collect())
}

#[cfg(test)]
mod tests;
