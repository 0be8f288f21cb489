//! A model that is ready to answer: its package, planned.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tract_core::prelude::{Tensor, TypedModel};

use super::{Digest, Manifest, Package, PackageError};
use crate::engine::{self, EngineError, Library, Plan};
use crate::ops::weights::Weights;

/// A model that is ready to answer.
#[derive(Debug)]
pub struct Model {
    manifest: Manifest,
    digest: Digest,
    package_bytes: usize,
    plan: Plan,
    planning: Duration,
}

impl Model {
    /// Plans the model that a package holds.
    ///
    /// # Errors
    /// A graph that can't be planned, or one whose inputs and outputs are not those of the manifest.
    pub fn load(package: &Package) -> Result<Self, ModelError> {
        let start = Instant::now();
        let manifest = package.manifest().clone();
        let graph = package.read_graph()?;
        let declared = (manifest.inputs.len(), manifest.outputs.len());
        let found = (graph.inputs.len(), graph.outputs.len());
        if declared != found {
            return Err(ModelError::Interface { declared, found });
        }
        let plan = Plan::new(graph)?;
        let package_bytes = package.size_bytes();
        Ok(Self { manifest, digest: *package.digest(), package_bytes, plan, planning: start.elapsed() })
    }

    /// What the package says about the model.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The digest of the package.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The size of the package file.
    pub fn package_bytes(&self) -> usize {
        self.package_bytes
    }

    /// How long planning took, from checked bytes to a plan.
    pub fn planning(&self) -> Duration {
        self.planning
    }

    /// Runs the model on inputs in the manifest's order; outputs come in the manifest's order too.
    ///
    /// # Errors
    /// [`EngineError::Run`] where an operator refuses what it is given.
    pub fn run(&self, inputs: Vec<Tensor>) -> Result<Vec<Arc<Tensor>>, EngineError> {
        self.plan.run(inputs)
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
}

impl Package {
    /// The graph with its weights, as tract's model. Our operators borrow theirs from the package.
    ///
    /// # Errors
    /// A graph or a weight that can't be read.
    pub fn read_graph(&self) -> Result<TypedModel, ModelError> {
        Ok(engine::read_graph(self.graph()?, self)?)
    }
}

impl Library for Package {
    fn labels(&self) -> Vec<&str> {
        self.weights().map(|section| section.name).collect()
    }

    fn tensor(&self, label: &str) -> Result<Tensor, EngineError> {
        let failed = |reason| EngineError::Weight { name: label.to_owned(), reason };
        let section = self.section(label).ok_or_else(|| failed("the package has no such section".to_owned()))?;
        section.to_tensor().map_err(failed)
    }

    fn weights(&self, label: &str) -> Option<Weights> {
        let section = self.section(label)?;
        let dtype = section.dtype().filter(|_| section.texts.is_none())?;
        let memory = Arc::new(self.bytes().clone());
        Weights::borrowed(dtype.datum_type(), section.shape, memory, self.range(label)?).ok()
    }
}
