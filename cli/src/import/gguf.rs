//! GGUF: the weights, settings and tokenizer of a language model in one file, as llama.cpp has them.

mod blocks;
mod error;
mod file;
mod pieces;
mod settings;
mod tensors;
#[cfg(test)]
mod tests;
mod tokenizer;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use emberlite::model::Task;

pub use error::GgufError;
use file::File;
use tensors::Tensors;

use super::causal::{self, Gains};
use super::{ImportError, Imported, Source};

/// Imports a GGUF file.
///
/// # Errors
/// A file that can't be read or is broken; an architecture, a type of weights or a tokenizer that is not supported, by
/// name.
pub(super) fn import(path: &Path) -> Result<Imported, ImportError> {
    let bytes = fs::read(path).map_err(|source| ImportError::Unreadable { path: path.to_owned(), source })?;
    let file = File::parse(path, &bytes)?;
    let (architecture, config) = settings::read(&file)?;
    let tensors = Tensors::new(&file, &config)?;
    let mut built = causal::build(&architecture, &config, &tensors, Gains::Whole)?;
    let speech = tokenizer::read(&file, built.vocabulary)?;
    let generate = speech.spec(built.positions, built.vocabulary);
    built.warnings.extend(speech.warnings);
    let producer = file.text("general.quantized_by").or(file.text("general.author"));
    Ok(Imported {
        model: built.model,
        batch: None,
        labels: Vec::new(),
        words: BTreeMap::new(),
        task: Some(Task::Generate),
        text: None,
        generate: Some(generate),
        q4: built.q4,
        tokenizer: Some(speech.tokenizer),
        source: Source {
            format: "gguf",
            producer: producer.map(str::to_owned),
            opset: None,
            files: vec![path.to_owned()],
        },
        warnings: built.warnings,
    })
}
