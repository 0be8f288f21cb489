//! The recipe `pack.toml`: what a model file does not tell about its model.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use emberlite::model::{Example, Feature, ImageSpec, ModelName, Role, Task};
use serde::Deserialize;

/// The file that makes a folder a recipe.
pub const FILE: &str = "pack.toml";

/// What to pack, and what to say about it. Whatever is absent is inferred from the model file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The model file, relative to the recipe.
    #[serde(default)]
    pub model: PathBuf,
    /// The model's name; by default the file's.
    pub name: Option<ModelName>,
    /// What the model is for.
    pub task: Option<Task>,
    /// One plain sentence.
    #[serde(default)]
    pub description: String,
    /// The licence of the weights.
    #[serde(default)]
    pub licence: String,
    /// The classes: the index is the class id.
    #[serde(default)]
    pub labels: Vec<String>,
    /// What outputs mean, by their names.
    #[serde(default)]
    pub outputs: BTreeMap<String, Output>,
    /// The columns of a table.
    #[serde(default)]
    pub features: Vec<Feature>,
    /// How an image becomes a tensor.
    pub image: Option<ImageSpec>,
    /// Inputs to try the model with; the packer compares their answers before and after too.
    #[serde(default)]
    pub examples: Vec<Example>,
}

/// What a recipe says of an output.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// What it means.
    pub role: Role,
}

impl Recipe {
    /// The recipe for a source: a folder with a `pack.toml`, such a file itself, or a model file without one.
    ///
    /// # Errors
    /// A source that is not there, a folder without a recipe, or a recipe that can't be read.
    pub fn find(source: &Path) -> Result<Self> {
        if !source.exists() {
            bail!("there is no file or folder {}", source.display());
        }
        if source.is_dir() {
            let file = source.join(FILE);
            if !file.is_file() {
                bail!("{} has no {FILE}: name the model file, or write a recipe beside it", source.display());
            }
            return Self::read(&file);
        }
        if source.extension().is_some_and(|extension| extension == "toml") {
            return Self::read(source);
        }
        Ok(Self { model: source.to_owned(), ..Self::default() })
    }

    /// Reads a recipe; the model's path becomes relative to where the recipe is.
    ///
    /// # Errors
    /// A file that can't be read, or that says something unknown.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
        let mut recipe: Self = toml::from_str(&text).with_context(|| format!("{} is no recipe", file.display()))?;
        if recipe.model.as_os_str().is_empty() {
            bail!("{} names no model: expected model = \"FILE\"", file.display());
        }
        recipe.model = file.parent().unwrap_or(Path::new("")).join(&recipe.model);
        Ok(recipe)
    }

    /// The name of the model: the recipe's, else the file's in lower case.
    ///
    /// # Errors
    /// A file name that makes no model name.
    pub fn model_name(&self) -> Result<ModelName> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let stem = self.model.file_stem().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        stem.replace(' ', "-").parse().context("the file's name makes no model name: give one with --name")
    }
}
