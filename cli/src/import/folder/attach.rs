//! An ONNX file of a text model and what lies beside it: tokenizer, pooling, labels.

use std::path::Path;

use emberlite::model::Task;
use tract_core::prelude::{DatumType, OutletId, TypedModel};

use super::error::FolderError;
use super::labels::Labels;
use super::modules::Modules;
use super::settings::Settings;
use super::texts::{TOKENIZER, Texts};
use super::wiring::Wiring;
use super::{Folder, describe, modules};
use crate::import::Imported;

const IDS: &str = "input_ids";
const MASK: &str = "attention_mask";
const SEGMENTS: &str = "token_type_ids";
const POSITIONS: &str = "position_ids";

/// What a graph gives for texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// A vector for each token.
    Tokens,
    /// A vector for each text.
    Vector,
    /// So many logits for each text.
    Logits(usize),
}

/// Adds to a graph of token ids what its folder, or the one above, says about texts.
///
/// A graph that takes something else, or that has no tokenizer beside it, stays as it is.
///
/// # Errors
/// A folder that says something that is not supported.
pub(super) fn attach(mut imported: Imported, file: &Path) -> Result<Imported, FolderError> {
    if input(&imported.model, IDS).is_none() {
        return Ok(imported);
    }
    match fitting(&imported.model, file) {
        Ok((folder, outlet, answer)) => add(imported, &folder?, outlet, answer),
        Err(reason) => {
            imported.warnings.push(format!("the package will take tensors, not texts: {reason}"));
            Ok(imported)
        }
    }
}

type Found = (Result<Folder, FolderError>, OutletId, Answer);

/// The folder that goes with a graph and the output that answers for a text, or why there is none.
fn fitting(model: &TypedModel, file: &Path) -> Result<Found, String> {
    let known = [IDS, MASK, SEGMENTS, POSITIONS];
    for outlet in &model.inputs {
        let name = &model.node(outlet.node).name;
        let fact = model.outlet_fact(*outlet).map_err(|error| error.to_string())?;
        if !known.contains(&name.as_str()) || fact.datum_type != DatumType::I64 || fact.rank() != 2 {
            return Err(format!("the input `{name}` is not one of INT64 [batch, tokens] called {}", known.join(", ")));
        }
    }
    let beside = |folder: &&Path| folder.join(TOKENIZER).is_file() || folder.join("modules.json").is_file();
    let root = file.ancestors().skip(1).take(2).find(beside);
    let root = root.ok_or_else(|| format!("there is no {TOKENIZER} beside `{}` or one folder up", file.display()))?;
    let folder = Folder::beside(root);
    let clip = folder
        .as_ref()
        .is_ok_and(|folder| folder.config.text("model_type").is_some_and(|kind| kind.starts_with("clip")));
    let (outlet, answer) = answer(model, clip).ok_or("no output is a vector or logits for each text or token")?;
    if answer == Answer::Tokens && input(model, MASK).is_none() {
        return Err(format!("tokens can't become one vector without an input `{MASK}`"));
    }
    Ok((folder, outlet, answer))
}

/// The output that answers for a text. CLIP ends in a vector of its own, which is not one of the usual poolings.
fn answer(model: &TypedModel, clip: bool) -> Option<(OutletId, Answer)> {
    let find = |name: &str, rank: usize| {
        let named = model.outputs.iter().find(|outlet| model.outlet_label(**outlet) == Some(name))?;
        let fact = model.outlet_fact(*named).ok()?;
        (fact.datum_type == DatumType::F32 && fact.rank() == rank).then_some(*named)
    };
    let vector = |name: &str| find(name, 2).map(|outlet| (outlet, Answer::Vector));
    let logits = || {
        let outlet = find("logits", 2)?;
        let count = model.outlet_fact(outlet).ok()?.shape.last()?.as_i64()?;
        Some((outlet, Answer::Logits(usize::try_from(count).ok()?)))
    };
    let tokens = |name: &str| find(name, 3).map(|outlet| (outlet, Answer::Tokens));
    vector("sentence_embedding")
        .or_else(logits)
        .or_else(|| vector("text_embeds"))
        .or_else(|| if clip { vector("pooler_output") } else { None })
        .or_else(|| tokens("last_hidden_state"))
        .or_else(|| tokens("token_embeddings"))
}

fn add(mut imported: Imported, folder: &Folder, outlet: OutletId, answer: Answer) -> Result<Imported, FolderError> {
    let mut texts = Texts::read(&folder.root, folder.transformer())?;
    imported.warnings.extend(texts.warning.take());
    let padding_id = match folder.config.get("pad_token_id") {
        Some(_) => Some(folder.config.id_or("pad_token_id", 0)?),
        None => None,
    };
    let (mut text, tokenizer) = texts.spec(capacity(&folder.config, padding_id)?, padding_id);
    let named = |name: &str| input(&imported.model, name).map(|_| name.to_owned());
    (text.mask, text.segments, text.positions) = (named(MASK), named(SEGMENTS), named(POSITIONS));
    imported.task = Some(Task::Embed);
    match answer {
        Answer::Logits(count) => {
            let labels = Labels::of(&folder.root, &folder.config, count)?;
            text.problem = Some(labels.problem);
            (imported.task, imported.labels) = (Some(labels.task), labels.names);
            imported.model = Wiring { model: imported.model }.finish(outlet, "logits")?;
        }
        Answer::Vector => {
            text.normalize = folder.modules.as_ref().is_some_and(|modules| modules.normalize);
            imported.model = Wiring { model: imported.model }.finish(outlet, "embedding")?;
        }
        Answer::Tokens => {
            let modules: Modules = modules(folder, &mut imported.warnings);
            describe(&mut text, &modules);
            let mask = input(&imported.model, MASK).unwrap_or(outlet);
            let mut wiring = Wiring { model: imported.model };
            let vector = modules.wire(&mut wiring, outlet, mask)?;
            imported.model = wiring.finish(vector, "embedding")?;
            imported.source.files.extend(modules.files());
        }
    }
    (imported.text, imported.tokenizer) = (Some(text), Some(tokenizer));
    Ok(imported)
}

/// How many tokens a text may have, as far as the settings tell. RoBERTa and its like count from behind the padding.
fn capacity(config: &Settings, padding_id: Option<i64>) -> Result<Option<usize>, FolderError> {
    if config.get("max_position_embeddings").is_none() {
        return Ok(None);
    }
    let counted = ["roberta", "xlm-roberta", "camembert", "mpnet"].contains(&config.text("model_type").unwrap_or(""));
    let first = if counted { padding_id.unwrap_or(1) as usize + 1 } else { 0 };
    Ok(Some(config.size("max_position_embeddings")?.saturating_sub(first).max(1)))
}

/// The graph's input of this name.
fn input(model: &TypedModel, name: &str) -> Option<OutletId> {
    model.inputs.iter().copied().find(|outlet| model.node(outlet.node).name == name)
}
