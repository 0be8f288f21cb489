//! A graph in the making: our operators, wired with the weights of a folder.

use emberlite::ops::{Activation, Linear, Norm};
use tract_core::internal::{DatumExt as _, OutletId, SpecialOps as _, TDim, TypedFact, TypedModel, TypedOp};

use super::checkpoint::Checkpoint;
use super::error::FolderError;

/// The symbol on the first axis of every input.
pub(in crate::import) const BATCH: &str = "N";
/// The symbol on the second axis of every input.
const TOKENS: &str = "S";

/// A model to which nodes are added.
#[derive(Debug, Default)]
pub(in crate::import) struct Wiring {
    pub(in crate::import) model: TypedModel,
}

/// A linear layer.
#[derive(Clone, Copy, Debug)]
pub(in crate::import) struct Dense<'a> {
    pub(in crate::import) node: &'a str,
    /// Its tensors, one above the other; their names before `.weight` and `.bias`.
    pub(in crate::import) tensors: &'a [String],
    pub(in crate::import) inputs: usize,
    /// How many outputs all tensors have together.
    pub(in crate::import) outputs: usize,
    pub(in crate::import) bias: bool,
    pub(in crate::import) activation: Option<Activation>,
}

/// A layer norm.
#[derive(Clone, Copy, Debug)]
pub(in crate::import) struct LayerNorm<'a> {
    pub(in crate::import) node: &'a str,
    /// The name of its tensors before `.weight` and `.bias`.
    pub(in crate::import) tensor: &'a str,
    pub(in crate::import) width: usize,
    pub(in crate::import) bias: bool,
    pub(in crate::import) epsilon: f32,
}

impl Wiring {
    /// Adds an input `INT64` `[N, S]`.
    pub(in crate::import) fn input(&mut self, name: &str) -> Result<OutletId, FolderError> {
        let shape = [BATCH, TOKENS].map(|symbol| TDim::from(self.model.symbols.sym(symbol)));
        let fact: TypedFact = i64::fact(shape);
        self.model.add_source(name, fact).map_err(|error| failed(name, format!("{error:#}")))
    }

    /// Adds a node with one output, under a name of its own.
    pub(in crate::import) fn node(
        &mut self,
        name: &str,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> Result<OutletId, FolderError> {
        let mut fresh = name.to_owned();
        while self.model.node_by_name(&fresh).is_ok() {
            fresh.push('_');
        }
        let outlets = self.model.wire_node(fresh, op, inputs).map_err(|error| failed(name, format!("{error:#}")))?;
        outlets.first().copied().ok_or_else(|| failed(name, "it has no output".to_owned()))
    }

    /// Adds a linear layer over `x`, which adds `residual` if there is one.
    pub(in crate::import) fn dense(
        &mut self,
        weights: &Checkpoint,
        dense: Dense<'_>,
        x: OutletId,
        residual: Option<OutletId>,
    ) -> Result<OutletId, FolderError> {
        let Dense { node, tensors, inputs, outputs, bias, activation } = dense;
        let rows = outputs / tensors.len().max(1);
        let mut matrix = Vec::new();
        let mut biases = Vec::new();
        for tensor in tensors {
            matrix.extend(weights.tensor(&format!("{tensor}.weight"), &[rows, inputs])?);
            if bias {
                biases.extend(weights.tensor(&format!("{tensor}.bias"), &[rows])?);
            }
        }
        let linear = Linear::new(&matrix, outputs, inputs, bias.then_some(biases.as_slice()));
        let mut linear = linear.map_err(|reason| failed(node, reason))?;
        if let Some(activation) = activation {
            linear = linear.with_activation(activation);
        }
        match residual {
            Some(residual) => self.node(node, linear.with_residual(), &[x, residual]),
            None => self.node(node, linear, &[x]),
        }
    }

    /// Adds a layer norm over `x`.
    pub(in crate::import) fn norm(
        &mut self,
        weights: &Checkpoint,
        norm: LayerNorm<'_>,
        x: OutletId,
    ) -> Result<OutletId, FolderError> {
        let LayerNorm { node, tensor, width, bias, epsilon } = norm;
        // Weights converted from TensorFlow call them gamma and beta.
        let read = |name: &str, old: &str| {
            let (name, old) = (format!("{tensor}.{name}"), format!("{tensor}.{old}"));
            weights.tensor(if weights.has(&name) || !weights.has(&old) { &name } else { &old }, &[width])
        };
        let gain = read("weight", "gamma")?;
        let bias = if bias { Some(read("bias", "beta")?) } else { None };
        let norm = Norm::layer(&gain, bias.as_deref(), epsilon).map_err(|reason| failed(node, reason))?;
        self.node(node, norm, &[x])
    }

    /// Makes `outlet` the only output.
    pub(in crate::import) fn finish(mut self, outlet: OutletId, name: &str) -> Result<TypedModel, FolderError> {
        let finished = self.model.select_output_outlets(&[outlet]).and_then(|()| {
            self.model.outlet_labels.clear();
            self.model.set_outlet_label(outlet, name.to_owned())?;
            self.model.compact()
        });
        finished.map(|()| self.model).map_err(|error| failed(name, format!("{error:#}")))
    }
}

/// The error for a node that can't be built.
pub(in crate::import) fn failed(node: &str, reason: String) -> FolderError {
    FolderError::Node { node: node.to_owned(), reason }
}
