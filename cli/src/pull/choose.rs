//! Which files of a repository a model is made of: its settings, its tokenizer, and one set of weights.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::hub::Remote;
use super::path::FilePath;
use crate::bench::bytes;
use crate::quantize::keep::matches;

/// What says how a model is built, how its texts become tokens, and what its licence is.
const SETTINGS: [&str; 19] = [
    "config.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "modules.json",
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "spiece.model",
    "chat_template.jinja",
    "chat_template.json",
    "LICENSE",
];
const MODULES: &str = "modules.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Where ONNX files are, the first that is there.
const ONNX: [&str; 2] = ["onnx/model.onnx", "model.onnx"];
/// What holds weights.
const KINDS: [&str; 12] =
    ["safetensors", "bin", "pt", "pth", "h5", "msgpack", "ot", "gguf", "onnx", "onnx_data", "tflite", "ckpt"];

/// What was chosen, in the repository's order, and what was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) files: Vec<Remote>,
    pub(super) left_out: Vec<Remote>,
    /// What is packed, where that is not the folder itself.
    pub(super) model: Option<FilePath>,
}

/// Chooses among files. `read` gives the whole of a small one; `include` are patterns for weights.
///
/// # Errors
/// No weights that can be packed, several where one has to be chosen, or a pattern that fits nothing.
pub(super) fn choose(
    files: &[Remote],
    include: &[String],
    mut read: impl FnMut(&Remote) -> Result<Vec<u8>>,
) -> Result<Choice> {
    let find = |path: &str| files.iter().find(|file| file.path.as_str() == path);
    let mut folders = BTreeSet::from([String::new()]);
    if let Some(file) = find(MODULES) {
        folders.extend(module_folders(&read(file)?).with_context(|| format!("{MODULES} can't be used"))?);
    }
    let in_folders = |file: &&Remote| folders.contains(file.path.folder());
    let settings = files.iter().filter(in_folders).filter(|file| SETTINGS.contains(&file.path.file()));
    let mut chosen: BTreeSet<&FilePath> = settings.map(|file| &file.path).collect();
    let mut model = None;
    if include.is_empty() {
        let weights = safetensors(files, &folders, &mut read)?;
        if weights.is_empty() {
            let (found, packed) = other_weights(files)?;
            chosen.extend(found.iter().map(|file| &file.path));
            model = Some(packed);
        }
        chosen.extend(weights.iter().map(|file| &file.path));
    } else {
        for pattern in include {
            let before = chosen.len();
            chosen.extend(files.iter().map(|file| &file.path).filter(|path| matches(pattern, path.as_str())));
            ensure!(chosen.len() > before, "no further file fits --include {pattern:?}: there are {}", listed(files));
        }
        model = single(&chosen);
    }
    let (taken, left_out) = files.iter().cloned().partition(|file| chosen.contains(&file.path));
    Ok(Choice { files: taken, left_out, model })
}

/// The folders that `modules.json` names.
fn module_folders(json: &[u8]) -> Result<Vec<String>> {
    let modules: Vec<Value> = serde_json::from_slice(json)?;
    let paths = modules.iter().filter_map(|module| module.get("path")?.as_str());
    Ok(paths.map(|path| path.trim_end_matches('/').to_owned()).collect())
}

/// The weights of the model, and those of its modules.
fn safetensors<'a>(
    files: &'a [Remote],
    folders: &BTreeSet<String>,
    read: &mut impl FnMut(&Remote) -> Result<Vec<u8>>,
) -> Result<Vec<&'a Remote>> {
    let mut weights = Vec::new();
    for folder in folders {
        let find = |name: &str| files.iter().find(|file| file.path.folder() == folder && file.path.file() == name);
        if let Some(whole) = find(WEIGHTS) {
            weights.push(whole);
        } else if let Some(index) = find(INDEX) {
            weights.push(index);
            for shard in shards(&read(index)?).with_context(|| format!("{} can't be used", index.path))? {
                weights
                    .push(find(&shard).with_context(|| format!("{} names {shard}, which is not there", index.path))?);
            }
        }
    }
    Ok(weights)
}

fn shards(json: &[u8]) -> Result<BTreeSet<String>> {
    let index: Value = serde_json::from_slice(json)?;
    let map = index.get("weight_map").and_then(Value::as_object).context("expected a weight_map")?;
    map.values().map(|shard| shard.as_str().map(str::to_owned).context("expected the name of a file")).collect()
}

/// The weights where there are none in safetensors, and the file to pack.
fn other_weights(files: &[Remote]) -> Result<(Vec<&Remote>, FilePath)> {
    if let Some(onnx) = ONNX.iter().find_map(|path| files.iter().find(|file| file.path.as_str() == *path)) {
        let stem = onnx.path.as_str();
        let beside = files.iter().filter(|file| file.path.as_str().starts_with(stem)).collect();
        return Ok((beside, onnx.path.clone()));
    }
    let of_kind = |kind: &str| files.iter().filter(|file| extension(file) == kind).collect::<Vec<_>>();
    match *of_kind("gguf") {
        [one] => return Ok((vec![one], one.path.clone())),
        [] => {}
        [..] => bail!("there are several models: choose one with --include, of {}", listed(files)),
    }
    if !of_kind("bin").is_empty() {
        bail!(
            "its weights are in PyTorch's own format, which is a program and is not read: look for a revision with \
             {WEIGHTS}, or load the model with transformers and save it again with save_pretrained"
        );
    }
    let weights: Vec<_> = files.iter().filter(|file| is_weights(file)).collect();
    ensure!(!weights.is_empty(), "it has no file of weights, so it is no model: check the name");
    bail!("it has no {WEIGHTS}, no ONNX file and no GGUF file: choose with --include, of {}", listed(files))
}

/// The one file that is packed by itself, where there is only one.
fn single(chosen: &BTreeSet<&FilePath>) -> Option<FilePath> {
    let packed = |path: &&&FilePath| path.as_str().ends_with(".gguf") || path.as_str().ends_with(".onnx");
    let mut found = chosen.iter().filter(packed);
    found.next().filter(|_| found.next().is_none()).map(|path| (*path).clone())
}

fn extension(file: &Remote) -> &str {
    file.path.file().rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn is_weights(file: &Remote) -> bool {
    KINDS.contains(&extension(file))
}

/// The files of weights with their sizes.
fn listed(files: &[Remote]) -> String {
    let weights = files.iter().filter(|file| is_weights(file));
    let told: Vec<_> = weights.map(|file| format!("{} ({})", file.path, bytes(file.size))).collect();
    if told.is_empty() { "no weights".to_owned() } else { told.join(", ") }
}

#[cfg(test)]
mod tests;
