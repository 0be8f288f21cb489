//! The recipe `pack.toml`: what a model file does not tell about its model.

mod record;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use emberlite::model::{Digest, Example, Feature, ImageSpec, ModelName, Role, Task};
use emberlite::ops::{Pooling, WeightFormat};
use serde::{Deserialize, Serialize};

use crate::pack;
use crate::prune::Step;
use crate::quantize::{RangeMethod, Scheme, Smooth};
use crate::source;
use crate::texts::TextFile;
use crate::verify::Settings;

/// The file that makes a folder a recipe.
pub const FILE: &str = "pack.toml";
/// The files of which a model's own folder has one.
const MODEL_FOLDER: [&str; 2] = ["config.json", "modules.json"];

/// What to pack, and what to say about it. Whatever is absent is inferred from the model file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The model's file or folder, relative to the recipe.
    #[serde(default)]
    pub model: PathBuf,
    /// The model's name; by default the file's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<ModelName>,
    /// What the model is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// One plain sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The licence of the weights.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub licence: String,
    /// The classes: the index is the class id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// What outputs mean, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Output>,
    /// The columns of a table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Feature>,
    /// How an image becomes a tensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSpec>,
    /// What a model of texts makes of them.
    #[serde(default, skip_serializing_if = "record::is_default")]
    pub text: TextSettings,
    /// What is taken out of the model, one step after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prune: Vec<Step>,
    /// How weights are written down.
    #[serde(default)]
    pub quantize: QuantizeSettings,
    /// Texts whose tokens are to be kept; all tokens are where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<TextFile>,
    /// The text that the perplexity of a language model is measured on; by default the one to calibrate with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perplexity: Option<TextFile>,
    /// The digests of files that are named here, of a recipe that gives one certain package.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<PathBuf, Digest>,
    /// The data that proves the package, and what it may lose.
    #[serde(default, skip_serializing_if = "record::is_default")]
    pub verify: Settings,
    /// Inputs to try the model with; the packer compares their answers before and after too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
    /// Where the recipe is, and what its paths are relative to.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// What makes a model smaller than it was imported, at some cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shrink {
    /// What is taken out, one step after the other.
    pub prune: Vec<Step>,
    /// How the weights that are left are written down.
    pub quantize: QuantizeSettings,
}

/// What is said about a model of texts; what is absent is as its folder says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextSettings {
    /// The longest input in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<usize>,
    /// How the tokens' vectors become one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pooling: Option<Pooling>,
    /// Whether vectors are scaled to a length of 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalize: Option<bool>,
}

/// How weights are written down.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantizeSettings {
    /// The format; by default int8 for a model of texts, q4 for a language model, and none for one of tensors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// Patterns for the names of layers that stay in a higher precision; `auto` for those whose error stands out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// What to calibrate with, and to measure the loss on: texts, or for a model of tensors rows or a folder of images;
    /// there are built-in ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<TextFile>,
    /// How the fixed ranges of int8-static are found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<RangeMethod>,
    /// Whether and how far inputs are divided by what weights are multiplied with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smooth: Option<Smooth>,
    /// The most that the whole model may lose with the scheme auto: 1 - cosine, or for a language model the divergence of
    /// its predictions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<f64>,
    /// Formats of layers, by patterns of their names; they go before the scheme.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub formats: BTreeMap<String, WeightFormat>,
}

impl QuantizeSettings {
    /// The format of a text model's weights; none where they stay as they are.
    pub fn format(&self) -> Option<WeightFormat> {
        self.format_or(Scheme::Int8)
    }

    /// The format of weights that get `usual` where nothing is said; none where they stay as they are.
    pub fn format_or(&self, usual: Scheme) -> Option<WeightFormat> {
        self.scheme.unwrap_or(usual).format()
    }
}

/// What a recipe says of an output.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// What it means.
    pub role: Role,
}

impl Recipe {
    /// The recipe for a source: a folder with a `pack.toml`, such a file itself, or a model's file or folder without one.
    ///
    /// # Errors
    /// A source that is not there, a folder without a recipe, or a recipe that can't be read.
    pub fn find(source: &Path) -> Result<Self> {
        source::check_model(source)?;
        if source.is_dir() {
            let file = source.join(FILE);
            if file.is_file() {
                return Self::read(&file);
            }
            if MODEL_FOLDER.iter().any(|file| source.join(file).is_file()) {
                return Ok(Self { model: source.to_owned(), ..Self::default() });
            }
            bail!(
                "{} has no {FILE}, and no {} either: name the model file, or write a recipe beside it",
                source.display(),
                MODEL_FOLDER.join(" or ")
            );
        }
        if source.extension().is_some_and(|extension| extension == "toml") {
            return Self::read(source);
        }
        Ok(Self { model: source.to_owned(), ..Self::default() })
    }

    /// What makes the model smaller.
    pub fn shrink(&self) -> Shrink {
        Shrink { prune: self.prune.clone(), quantize: self.quantize.clone() }
    }

    /// Calibrates with every second example of the data where nothing else is said: the others are for the proof.
    pub fn calibrate_with_data(&mut self) {
        let column = self.verify.column.clone();
        let data = self.verify.data.clone().map(|file| TextFile { file, column, every_second: true });
        let calibration = self.quantize.calibration.take().or(data);
        // The same file twice is one of data.
        let same = |texts: &TextFile| self.verify.data.as_ref() == Some(&texts.file);
        let halved = |texts: TextFile| TextFile { every_second: texts.every_second || same(&texts), ..texts };
        self.quantize.calibration = calibration.map(halved);
    }

    /// Makes the model smaller in another way.
    pub fn apply(&mut self, shrink: Shrink) {
        self.prune = shrink.prune;
        self.quantize = shrink.quantize;
    }

    /// The same without anything that costs accuracy: its package is what others are held against.
    #[must_use]
    pub fn unreduced(self) -> Self {
        let quantize = QuantizeSettings { scheme: Some(Scheme::None), ..QuantizeSettings::default() };
        Self {
            prune: Vec::new(),
            quantize,
            vocabulary: None,
            perplexity: None,
            verify: Settings::default(),
            files: BTreeMap::new(),
            ..self
        }
    }

    /// What is set that only models of texts have.
    pub fn text_settings(&self) -> Vec<&'static str> {
        let set = [
            ("max_tokens", self.text.max_tokens.is_some()),
            ("pooling", self.text.pooling.is_some()),
            ("normalize", self.text.normalize.is_some()),
            ("vocabulary", self.vocabulary.is_some()),
            ("perplexity", self.perplexity.is_some()),
        ];
        set.into_iter().filter_map(|(name, set)| set.then_some(name)).collect()
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
        let folder = file.parent().unwrap_or(Path::new(""));
        let texts = recipe.quantize.calibration.iter_mut().chain(&mut recipe.vocabulary).chain(&mut recipe.perplexity);
        for path in texts.map(|texts| &mut texts.file).chain([&mut recipe.model]).chain(&mut recipe.verify.data) {
            *path = folder.join(&path);
        }
        recipe.folder = folder.to_owned();
        Ok(recipe)
    }

    /// The text of the recipe that a source has.
    pub fn text(source: &Path) -> Option<String> {
        let file = if source.is_dir() { source.join(FILE) } else { source.to_owned() };
        let is_recipe = file.extension().is_some_and(|extension| extension == "toml");
        if is_recipe { fs::read_to_string(file).ok() } else { None }
    }

    /// The name of the model: the recipe's, else the file's in lower case.
    ///
    /// # Errors
    /// A file name that makes no model name.
    pub fn model_name(&self) -> Result<ModelName> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let file = pack::file_name(&self.model);
        let is_file = !self.model.is_dir();
        let stem =
            Path::new(&file).file_stem().filter(|_| is_file).map_or(file.as_str().into(), OsStr::to_string_lossy);
        let spelled = stem.to_ascii_lowercase().replace([' ', '.'], "-");
        spelled.parse().context("the file's name makes no model name: give one with --name")
    }
}
