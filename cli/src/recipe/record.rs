//! The recipe that a package carries: what was done to its model, for whoever wants to do it again.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use emberlite::model::{Digest, Manifest, Task};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Output, QuantizeSettings, Recipe, TextSettings};
use crate::prune::Step;
use crate::texts::TextFile;
use crate::verify::Settings;

/// What of a recipe the manifest does not say elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Record {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    prune: Vec<Step>,
    #[serde(default)]
    quantize: QuantizeSettings,
    #[serde(default, skip_serializing_if = "is_default")]
    text: TextSettings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vocabulary: Option<TextFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    perplexity: Option<TextFile>,
    #[serde(default, skip_serializing_if = "is_default")]
    verify: Settings,
    /// The digest of every file that is named above.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<PathBuf, Digest>,
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Recipe {
    /// What a package carries of this recipe: JSON, with the files' paths as they are seen from the recipe, or their names
    /// where they are elsewhere.
    ///
    /// # Errors
    /// A file that can't be read, or two of one name.
    pub fn record(&self) -> Result<Value> {
        let mut record = Record {
            prune: self.prune.clone(),
            quantize: self.quantize.clone(),
            text: self.text.clone(),
            vocabulary: self.vocabulary.clone(),
            perplexity: self.perplexity.clone(),
            verify: self.verify.clone(),
            files: BTreeMap::new(),
        };
        let texts = record.quantize.calibration.iter_mut().chain(&mut record.vocabulary).chain(&mut record.perplexity);
        for path in texts.map(|texts| &mut texts.file).chain(&mut record.verify.data) {
            // A folder of images has no digest.
            let digest = path.is_file().then(|| digest(path)).transpose()?;
            *path = self.seen_from_here(path);
            let other = digest.and_then(|digest| record.files.insert(path.clone(), digest));
            ensure!(
                other.is_none() || other == digest,
                "two files are called {}: put them where the recipe is",
                path.display()
            );
        }
        Ok(serde_json::to_value(record)?)
    }

    fn seen_from_here(&self, file: &Path) -> PathBuf {
        let inside = file.strip_prefix(&self.folder).ok();
        let plain = |path: &&Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        inside.filter(plain).map_or_else(|| file.file_name().unwrap_or_default().into(), Path::to_owned)
    }

    /// The recipe of a package: packing the same source by it gives the same package.
    ///
    /// # Errors
    /// A package without a recipe, or with one of another version.
    pub fn of(manifest: &Manifest) -> Result<Self> {
        let record = manifest.recipe.clone().context("the package carries no recipe: an older version packed it")?;
        let record: Record = serde_json::from_value(record).context("the package's recipe is of another version")?;
        let role = |output: &emberlite::model::TensorSpec| Some((output.name.clone(), Output { role: output.role? }));
        let tensors = manifest.task == Task::Predict;
        Ok(Self {
            model: manifest.source.file.clone().into(),
            name: Some(manifest.name.clone()),
            task: Some(manifest.task),
            description: manifest.description.clone(),
            licence: manifest.licence.clone(),
            labels: manifest.labels.clone(),
            outputs: manifest.outputs.iter().filter(|_| tensors).filter_map(role).collect(),
            features: manifest.features.clone(),
            image: manifest.image.clone(),
            text: record.text,
            prune: record.prune,
            quantize: record.quantize,
            vocabulary: record.vocabulary,
            perplexity: record.perplexity,
            verify: record.verify,
            files: record.files,
            examples: manifest.examples.clone(),
            folder: PathBuf::new(),
        })
    }

    /// Checks that the files are those that the recipe was written for, where it tells.
    ///
    /// # Errors
    /// A file that is another one.
    pub fn check_files(&self) -> Result<()> {
        for (file, expected) in &self.files {
            let path = self.folder.join(file);
            let got = digest(&path)?;
            ensure!(
                got == *expected,
                "{} is not the file that the recipe was written for: expected the digest {expected}, got {got}. Find that \
                 file, or take it out of [files]",
                path.display()
            );
        }
        Ok(())
    }
}

fn digest(file: &Path) -> Result<Digest> {
    let bytes = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
    Ok(Digest::of(&bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_are_recorded_as_they_are_seen_from_the_recipe() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, elsewhere) = (folder.path().join("recipe"), folder.path().join("texts.csv"));
        fs::create_dir_all(inside.join("data")).unwrap();
        fs::write(inside.join("data/words.txt"), "words").unwrap();
        fs::write(&elsewhere, "text\nmore").unwrap();
        let recipe =
            "model = 'm.onnx'\n[vocabulary]\nfile = 'data/words.txt'\n[quantize.calibration]\nfile = '../texts.csv'";
        fs::write(inside.join("pack.toml"), recipe).unwrap();
        let recipe = Recipe::read(&inside.join("pack.toml")).unwrap();
        let record = recipe.record().unwrap();
        assert_eq!(record["vocabulary"]["file"], "data/words.txt");
        assert_eq!(record["quantize"]["calibration"]["file"], "texts.csv");
        assert_eq!(record["files"]["texts.csv"], Digest::of(b"text\nmore").to_string());
    }

    #[test]
    fn another_file_in_the_place_of_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("words.txt"), "others").unwrap();
        let recipe = format!("model = 'm.onnx'\n[files]\n'words.txt' = '{}'", Digest::of(b"words"));
        fs::write(folder.path().join("pack.toml"), recipe).unwrap();
        let refused = Recipe::read(&folder.path().join("pack.toml")).unwrap().check_files().unwrap_err().to_string();
        assert!(refused.contains("words.txt is not the file that the recipe was written for"), "{refused}");
    }
}
