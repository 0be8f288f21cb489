//! The folder of a language model.

use std::collections::BTreeMap;

use emberlite::model::Task;

use super::Folder;
use super::checkpoint::Checkpoint;
use super::error::FolderError;
use crate::import::Imported;
use crate::import::causal::{self, Architecture, Gains, Speech};

impl Folder {
    /// The architecture of a folder that holds a language model, and nothing that makes an encoder of it.
    pub(super) fn language(&self) -> Option<Architecture> {
        let class = self.config.get("architectures").and_then(|classes| classes.get(0)).and_then(|name| name.as_str());
        let speaks = class.is_none_or(|class| class.ends_with("ForCausalLM")) || self.onnx().is_none();
        let encodes = self.modules.as_ref().is_some_and(|modules| !modules.poolings.is_empty());
        Architecture::find(&self.config).filter(|_| speaks && !encodes)
    }
}

/// Builds the language model of a folder.
///
/// # Errors
/// [`FolderError`] names what is missing or not supported, and what to do about it.
pub(super) fn import(folder: &Folder, architecture: &Architecture) -> Result<Imported, FolderError> {
    let weights = Checkpoint::open(folder.transformer())?;
    let built = causal::build(architecture, &folder.config, &weights, Gains::AsTrained)?;
    let speech = Speech::read(&folder.root, &folder.config, built.vocabulary)?;
    let generate = speech.spec(built.positions, built.vocabulary);
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
        source: folder.source(&weights),
        warnings: [built.warnings, speech.warnings].concat(),
    })
}
