//! A model that is ready to answer: its package, planned.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use tract_core::prelude::{Tensor, TypedModel};

use super::layout::TOKENIZER;
use super::sparse::Room;
use super::{Digest, Dtype, Manifest, Package, PackageError, Task, TextSpec};
use crate::engine::{self, Decoder, EngineError, Library, Plan};
use crate::ops::weights::{Memory, Weights};
use crate::telemetry;
use crate::telemetry::cold_start::{Step, Timeline};
use crate::tokenizer::{Tokenizer, TokenizerError};

/// A model that is ready to answer.
#[derive(Debug)]
pub struct Model {
    manifest: Manifest,
    digest: Digest,
    package_bytes: usize,
    runner: Runner,
    /// Of a model that takes texts.
    tokenizer: Option<Tokenizer>,
    timeline: Arc<Timeline>,
}

/// What runs the graph.
#[derive(Debug)]
enum Runner {
    Plan(Plan),
    /// Of a language model.
    Decoder(Decoder),
}

impl Model {
    /// Plans the model that a package holds; its tokenizer is read meanwhile.
    ///
    /// # Errors
    /// A graph that can't be planned, one whose inputs and outputs are not those of the manifest, or a tokenizer that
    /// can't be used.
    pub fn load(package: &Package) -> Result<Self, ModelError> {
        Self::load_in(package, Arc::default())
    }

    /// Loads as [`Model::load`] does, and notes on a timeline where the time goes, up to the first run.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_in(package: &Package, timeline: Arc<Timeline>) -> Result<Self, ModelError> {
        let manifest = package.manifest().clone();
        if let Some(spec) = &manifest.text {
            check_inputs(spec, &manifest)?;
        }
        let takes_texts = manifest.text.is_some() || manifest.task == Task::Generate;
        let (runner, tokenizer) = std::thread::scope(|scope| {
            let read = || timeline.measure(Step::Tokenizer, || read_tokenizer(package));
            let tokenizer = takes_texts.then(|| scope.spawn(read));
            let runner = Self::runner(package, &manifest, &timeline);
            let tokenizer = tokenizer.map(|thread| thread.join().unwrap_or_else(|_| Err(panicked())));
            (runner, tokenizer.transpose())
        });
        let package_bytes = package.size_bytes();
        let digest = *package.digest();
        Ok(Self { manifest, digest, package_bytes, runner: runner?, tokenizer: tokenizer?, timeline })
    }

    fn runner(package: &Package, manifest: &Manifest, timeline: &Timeline) -> Result<Runner, ModelError> {
        let graph = timeline.measure(Step::Graph, || package.read_graph())?;
        let declared = (manifest.inputs.len(), manifest.outputs.len());
        let found = (graph.inputs.len(), graph.outputs.len());
        if declared != found {
            return Err(ModelError::Interface { declared, found });
        }
        if manifest.task != Task::Generate {
            return Ok(Runner::Plan(timeline.measure(Step::Plan, || Plan::new(graph))?));
        }
        let spec = manifest.generate.as_ref().ok_or(ModelError::NoGenerateSpec)?;
        let decoder = timeline.measure(Step::Plan, || Decoder::new(graph))?;
        if decoder.vocabulary() != spec.vocabulary {
            return Err(ModelError::Vocabulary { declared: spec.vocabulary, found: decoder.vocabulary() });
        }
        Ok(Runner::Decoder(decoder))
    }

    /// What runs the graph of a language model.
    pub fn decoder(&self) -> Option<&Decoder> {
        match &self.runner {
            Runner::Decoder(decoder) => Some(decoder),
            Runner::Plan(_) => None,
        }
    }

    /// By input of the graph: the integers that choose a row, where an input's integers do so and the graph tells. A
    /// language model's input is of tokens, and not among them.
    pub fn ids(&self) -> Vec<Option<Range<i64>>> {
        match &self.runner {
            Runner::Plan(plan) => plan.ids().collect(),
            Runner::Decoder(_) => Vec::new(),
        }
    }

    /// What the package says about the model.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What turns texts into the graph's inputs, where the model takes texts.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.tokenizer.as_ref()
    }

    /// The digest of the package.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The size of the package file.
    pub fn package_bytes(&self) -> usize {
        self.package_bytes
    }

    /// Where the time of its load went.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Notes that a run which began at `start` has ended. The first is told in the log, with all that came before it.
    pub fn ran(&self, start: Instant) {
        if self.timeline.ran(start) {
            let (name, digest) = (self.manifest.name.to_string(), self.digest.to_string());
            telemetry::tell_cold_start(&name, &digest, self.package_bytes, &self.timeline);
        }
    }

    /// Runs the model on inputs in the manifest's order; outputs come in the manifest's order too.
    ///
    /// # Errors
    /// [`EngineError::UnknownId`] where an integer chooses a row that is not there, and [`EngineError::Run`] where an
    /// operator refuses what it is given, or for a language model, which [`Model::decoder`] runs.
    pub fn run(&self, inputs: Vec<Tensor>) -> Result<Vec<Arc<Tensor>>, EngineError> {
        let Runner::Plan(plan) = &self.runner else {
            return Err(EngineError::Run("a language model runs step by step".to_owned()));
        };
        let start = Instant::now();
        let outputs = plan.run(inputs)?;
        self.ran(start);
        Ok(outputs)
    }
}

/// Why an intact package makes no model.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ModelError {
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(
        "the manifest declares {} inputs and {} outputs, the graph has {} and {}",
        declared.0, declared.1, found.0, found.1
    )]
    Interface { declared: (usize, usize), found: (usize, usize) },
    #[error("the package is of the task generate, and its manifest has no part of that name")]
    NoGenerateSpec,
    #[error("the manifest declares a vocabulary of {declared} tokens, the graph has {found}")]
    Vocabulary { declared: usize, found: usize },
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error("input {name:?} of the graph can't be filled with tokens: expected {expected}, got {got}")]
    TextInput { name: String, expected: String, got: String },
}

fn read_tokenizer(package: &Package) -> Result<Tokenizer, ModelError> {
    let json = package.tokenizer().ok_or_else(|| PackageError::MissingSection(TOKENIZER.to_owned()))?;
    Ok(Tokenizer::from_json(json)?)
}

fn panicked() -> ModelError {
    TokenizerError::new("reading it panicked").into()
}

/// Whether the graph's inputs are those that a text fills.
fn check_inputs(spec: &TextSpec, manifest: &Manifest) -> Result<(), ModelError> {
    let optional = [&spec.mask, &spec.segments, &spec.positions];
    let filled: Vec<&String> = optional.into_iter().flatten().chain([&spec.ids]).collect();
    for input in &manifest.inputs {
        let got = format!("{} {}", input.dtype, input.shape_text());
        let expected = if !filled.contains(&&input.name) {
            format!("one of {filled:?}")
        } else if input.dtype != Dtype::Int64 || input.shape.len() != 2 {
            "INT64 [batch, tokens]".to_owned()
        } else {
            continue;
        };
        return Err(ModelError::TextInput { name: input.name.clone(), expected, got });
    }
    match filled.into_iter().find(|name| manifest.inputs.iter().all(|input| input.name != **name)) {
        None => Ok(()),
        Some(name) => Err(ModelError::TextInput {
            name: name.clone(),
            expected: "an input of the graph".to_owned(),
            got: "none of this name".to_owned(),
        }),
    }
}

impl Package {
    /// The graph with its weights, as tract's model. Our operators borrow theirs from the package.
    ///
    /// # Errors
    /// A graph or a weight that can't be read.
    pub fn read_graph(&self) -> Result<TypedModel, ModelError> {
        Ok(engine::read_graph(self.graph()?, &Opened::new(self))?)
    }
}

/// A package while its graph is read.
pub(super) struct Opened<'a> {
    package: &'a Package,
    /// What sections without their zeros are expanded into.
    room: Room,
}

impl<'a> Opened<'a> {
    pub(super) fn new(package: &'a Package) -> Self {
        let sparse = package.weights().filter_map(|section| Some((section.sparse?, section.data.len())));
        Self { package, room: Room::of(sparse) }
    }
}

impl Library for Opened<'_> {
    fn labels(&self) -> Vec<&str> {
        self.package.weights().map(|section| section.name).collect()
    }

    fn tensor(&self, label: &str) -> Result<Tensor, EngineError> {
        let failed = |reason| EngineError::Weight { name: label.to_owned(), reason };
        let section =
            self.package.section(label).ok_or_else(|| failed("the package has no such section".to_owned()))?;
        section.to_tensor().map_err(failed)
    }

    fn weights(&self, label: &str) -> Result<Option<Weights>, EngineError> {
        let Some((section, range)) = self.package.section(label).zip(self.package.range(label)) else {
            return Ok(None);
        };
        let (dtype, shape) = section.elements();
        let Some(dtype) = Dtype::from_safetensors(dtype).filter(|_| section.texts.is_none()) else { return Ok(None) };
        let failed = |reason| EngineError::Weight { name: label.to_owned(), reason };
        let (memory, range): (Memory, _) = match section.sparse {
            None => (Arc::new(self.package.bytes().clone()), range),
            Some(sparse) => {
                let expanded = sparse.decode(section.data, |length| self.room.take(length));
                let expanded = expanded.map_err(|error| failed(error.to_string()))?;
                let range = 0..expanded.len();
                (Arc::new(expanded), range)
            }
        };
        Weights::borrowed(dtype.datum_type(), shape, memory, range).map(Some).map_err(failed)
    }
}
