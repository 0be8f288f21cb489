//! Folders of text models, as transformers and sentence-transformers save them: built from their weights, or taken
//! from the ONNX file beside them.

mod architecture;
mod attach;
mod checkpoint;
mod encoder;
mod error;
mod head;
mod labels;
mod language;
mod layer;
mod modules;
mod reach;
mod settings;
mod texts;
mod wiring;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use emberlite::model::{Task, TextSpec};

use super::{ImportError, Imported, Source};
use architecture::{Architecture, Kind};
pub(in crate::import) use checkpoint::Checkpoint;
use encoder::Encoder;
pub use error::FolderError;
use labels::Labels;
use modules::Modules;
pub(in crate::import) use settings::Settings;
use texts::Texts;
use wiring::Wiring;
pub(in crate::import) use wiring::failed;

/// What sentence-transformers says about a folder.
const SENTENCE_CONFIG: &str = "config_sentence_transformers.json";
/// Where an ONNX file is in a folder, the first that is there.
const ONNX_FILES: [&str; 2] = ["onnx/model.onnx", "model.onnx"];

/// A folder and where things are in it.
struct Folder {
    root: PathBuf,
    config: Settings,
    modules: Option<Modules>,
}

impl Folder {
    fn open(root: &Path) -> Result<Self, FolderError> {
        let folder = Self::beside(root)?;
        if folder.config.path().is_file() {
            return Ok(folder);
        }
        Err(FolderError::Missing {
            folder: folder.transformer().to_owned(),
            file: "config.json".to_owned(),
            remedy: "expected a folder that transformers or sentence-transformers saved, or one with a pack.toml",
        })
    }

    /// The folder of an ONNX file, which may be without a configuration.
    fn beside(root: &Path) -> Result<Self, FolderError> {
        let modules = Modules::find(root)?;
        let transformer = modules.as_ref().map_or(root, |modules| &modules.transformer);
        let config = Settings::read_or_empty(&transformer.join("config.json"))?;
        Ok(Self { root: root.to_owned(), config, modules })
    }

    fn transformer(&self) -> &Path {
        self.config.path().parent().unwrap_or(&self.root)
    }

    /// The ONNX file to take where the weights can't be built from.
    fn onnx(&self) -> Option<PathBuf> {
        let buildable = checkpoint::is_there(self.transformer()) && Architecture::of(&self.config).is_ok();
        let found = || ONNX_FILES.iter().map(|file| self.root.join(file)).find(|file| file.is_file());
        if buildable { None } else { found() }
    }

    fn source(&self, weights: &Checkpoint) -> Source {
        let producer = self.config.text("transformers_version").map(|version| format!("transformers {version}"));
        let files = std::iter::once(self.config.path()).chain(weights.paths()).map(Path::to_owned).collect();
        Source { format: "safetensors", producer, opset: None, files }
    }
}

/// Imports a folder that transformers or sentence-transformers saved.
///
/// # Errors
/// [`ImportError::Folder`] names what is missing or not supported, and what to do about it.
pub(super) fn import(root: &Path) -> Result<Imported, ImportError> {
    let folder = Folder::open(root)?;
    if let Some(architecture) = folder.language() {
        return Ok(language::import(&folder, &architecture)?);
    }
    match folder.onnx() {
        Some(file) => super::import_onnx(&file),
        None => Ok(build(&folder)?),
    }
}

/// Adds to the graph of an ONNX file what lies beside it: its tokenizer, pooling and labels.
///
/// # Errors
/// As [`import`].
pub(super) fn attach(imported: Imported, file: &Path) -> Result<Imported, ImportError> {
    Ok(attach::attach(imported, file)?)
}

fn build(folder: &Folder) -> Result<Imported, FolderError> {
    let config = &folder.config;
    let (architecture, kind) = Architecture::of(config)?;
    let mut texts = Texts::read(&folder.root, folder.transformer())?;
    let weights = Checkpoint::open(folder.transformer())?;
    let encoder = Encoder::new(&architecture, config, &weights)?;
    let mut warnings: Vec<String> = texts.warning.take().into_iter().collect();
    let (mut text, tokenizer) = texts.spec(Some(encoder.capacity()?), Some(encoder.padding_id()));
    let mut wiring = Wiring::default();
    let mut source = folder.source(&weights);
    let inputs = encoder.inputs(&mut wiring)?;
    text.mask = Some("attention_mask".to_owned());
    text.segments = inputs.segments.map(|_| "token_type_ids".to_owned());
    let hidden = encoder.wire(&mut wiring, inputs)?;
    let embeds = folder.modules.as_ref().is_some_and(|modules| !modules.poolings.is_empty());
    let (task, labels, model) = if kind == Kind::Classifier && !embeds {
        let (logits, count) = head::wire(&mut wiring, &encoder, &architecture.head, config, hidden, inputs.mask)?;
        let labels = Labels::of(&folder.root, config, count)?;
        text.problem = Some(labels.problem);
        (labels.task, labels.names, wiring.finish(logits, "logits")?)
    } else {
        let modules = modules(folder, &mut warnings);
        let vector = modules.wire(&mut wiring, hidden, inputs.mask)?;
        describe(&mut text, &modules);
        source.files.extend(modules.files());
        (Task::Embed, vec![], wiring.finish(vector, "embedding")?)
    };
    warnings.extend(unread(&weights, encoder.base(), architecture.layer));
    Ok(Imported {
        model,
        batch: Some(wiring::BATCH.to_owned()),
        labels,
        words: BTreeMap::new(),
        task: Some(task),
        text: Some(text),
        generate: None,
        q4: BTreeMap::new(),
        tokenizer: Some(tokenizer),
        source,
        warnings,
    })
}

/// The modules after the encoder; the mean of the tokens where the folder names none, as sentence-transformers does.
fn modules(folder: &Folder, warnings: &mut Vec<String>) -> Modules {
    match &folder.modules {
        Some(modules) if !modules.poolings.is_empty() => modules.clone(),
        _ => {
            let root = folder.root.display();
            warnings.push(format!("`{root}` does not tell how tokens become one vector: it will be their mean"));
            Modules::mean(folder.transformer())
        }
    }
}

fn describe(text: &mut TextSpec, modules: &Modules) {
    text.normalize = modules.normalize;
    text.pooling = match modules.poolings[..] {
        [one] => Some(one),
        _ => None,
    };
}

/// Tensors within the encoder that nothing was made of; heads and buffers that need not be stored do not count.
fn unread(weights: &Checkpoint, base: &str, layer: &str) -> Option<String> {
    let within = [format!("{base}embeddings."), format!("{base}{layer}")];
    let buffers = [".position_ids", ".token_type_ids", ".inv_freq"];
    let counts = |name: &String| {
        within.iter().any(|prefix| name.starts_with(prefix)) && !buffers.iter().any(|suffix| name.ends_with(suffix))
    };
    let unread: Vec<String> = weights.unread().into_iter().filter(counts).collect();
    let first = unread.first()?;
    Some(match unread.len() {
        1 => format!("the tensor `{first}` is not used: config.json does not speak of it"),
        count => format!("{count} tensors are not used, `{first}` the first: config.json does not speak of them"),
    })
}
