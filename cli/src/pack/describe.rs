//! What a package says about its model: the file's word, completed by the recipe's.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use emberlite::model::{Digest, FORMAT, Manifest, Source, SourceFile, Task, Verification};

use super::interface;
use crate::import::Imported;
use crate::recipe::Recipe;

/// The manifest before anything is known from running the model.
pub(super) fn describe(recipe: &Recipe, imported: &Imported, task: Task) -> Result<Manifest> {
    let (inputs, outputs) = interface::read(&imported.model)?;
    let files = source_files(&recipe.model, &imported.source.files)?;
    let mut manifest = Manifest {
        format: FORMAT,
        name: recipe.model_name()?,
        task,
        description: recipe.description.clone(),
        licence: recipe.licence.clone(),
        inputs,
        outputs,
        labels: labels(recipe, &imported.labels)?,
        features: recipe.features.clone(),
        image: recipe.image.clone(),
        text: None,
        generate: None,
        vocabulary: None,
        pruning: Vec::new(),
        quantization: None,
        recipe: None,
        examples: recipe.examples.clone(),
        source: Source {
            file: file_name(&recipe.model),
            format: imported.source.format.to_owned(),
            producer: imported.source.producer.clone(),
            digest: digest(&files),
            files,
        },
        tool: Some(concat!("emberlite ", env!("CARGO_PKG_VERSION")).to_owned()),
        verification: Verification::default(),
        sections: BTreeMap::new(),
    };
    interface::apply_recipe(&mut manifest, recipe)?;
    Ok(manifest)
}

/// The last part of a path, also of one that ends in `.` or `..`.
pub(crate) fn file_name(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.file_name().or(whole.file_name()).unwrap_or_default().to_string_lossy().into_owned()
}

/// The files with their digests, named as they are below the model's folder.
fn source_files(model: &Path, files: &[PathBuf]) -> Result<Vec<SourceFile>> {
    let of = |file: &PathBuf| {
        let bytes = fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
        let below = file.strip_prefix(model).ok().filter(|below| !below.as_os_str().is_empty());
        let name = below.map_or_else(|| file_name(file), |below| below.to_string_lossy().into_owned());
        Ok(SourceFile { name, digest: Digest::of(&bytes) })
    };
    files.iter().map(of).collect()
}

/// The digest of a file; of several, of their digests one after the other.
fn digest(files: &[SourceFile]) -> Digest {
    match files {
        [one] => one.digest,
        _ => Digest::of(files.iter().map(|file| file.digest.to_string()).collect::<String>().as_bytes()),
    }
}

/// The recipe's labels may stand for class ids that count from 0; others are the file's own.
fn labels(recipe: &Recipe, imported: &[String]) -> Result<Vec<String>> {
    if recipe.labels.is_empty() || recipe.labels == imported {
        return Ok(imported.to_vec());
    }
    let is_count =
        |(index, label): (usize, &String)| label.strip_prefix("LABEL_").unwrap_or(label) == index.to_string();
    if !imported.iter().enumerate().all(is_count) {
        bail!("the file has its own labels ({}): the recipe can't rename them", imported.join(", "));
    }
    if !imported.is_empty() && imported.len() != recipe.labels.len() {
        bail!("the file has {} classes, the recipe names {} labels", imported.len(), recipe.labels.len());
    }
    Ok(recipe.labels.clone())
}
