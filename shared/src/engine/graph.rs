//! A graph between its two forms: tract's model, and tract-OPL text with named weights.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tract_core::prelude::{Tensor, TypedModel};
use tract_nnef::ast::{self, Identifier, Literal, ProtoModel, RValue};
use tract_nnef::framework::Nnef;

use super::dialect::{self, COMPLETE};
use super::{EngineError, explain, guarded, parse};
use crate::ops::weights::{self, Weights};

/// A graph as tract-OPL text, its weights beside it.
///
/// The text follows the NNEF 1.0 specification with tract's extensions and ours (`emberlite_*`).
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The tract-OPL text.
    pub text: String,
    /// The weights by the label the text gives them.
    pub weights: HashMap<String, Arc<Tensor>>,
}

/// Writes a model as text and weights.
///
/// # Errors
/// [`EngineError::Write`] names the operator that has no tract-OPL form.
pub fn write(model: &TypedModel) -> Result<Graph, EngineError> {
    guarded(|| {
        let proto = tract_nnef::ser::to_proto_model(&COMPLETE, model).map_err(|error| explain(&error))?;
        let mut text = Vec::new();
        ast::dump::Dumper::new(&COMPLETE, &mut text).document(&proto.doc).map_err(|error| explain(&error))?;
        let text = String::from_utf8(text).map_err(|error| error.to_string())?;
        let weights = proto.tensors.into_iter().map(|(label, tensor)| (label.0, tensor)).collect();
        Ok(Graph { text, weights })
    })
    .map_err(EngineError::Write)
}

/// What a graph's weights are found in, by the label the text gives them.
pub trait Library {
    /// Every label.
    fn labels(&self) -> Vec<&str>;

    /// A weight as a tensor of its own.
    ///
    /// # Errors
    /// [`EngineError::Weight`] where it is none.
    fn tensor(&self, label: &str) -> Result<Tensor, EngineError>;

    /// A weight of one of our operators, which borrows it; `None` for one that can't be borrowed.
    ///
    /// # Errors
    /// [`EngineError::Weight`] where it is not what it is said to be.
    fn weights(&self, label: &str) -> Result<Option<Weights>, EngineError>;
}

impl Library for Graph {
    fn labels(&self) -> Vec<&str> {
        self.weights.keys().map(String::as_str).collect()
    }

    fn tensor(&self, label: &str) -> Result<Tensor, EngineError> {
        let missing = || EngineError::Weight { name: label.to_owned(), reason: "it is not there".to_owned() };
        self.weights.get(label).map(|tensor| Tensor::clone(tensor)).ok_or_else(missing)
    }

    fn weights(&self, label: &str) -> Result<Option<Weights>, EngineError> {
        let tensor = self.weights.get(label).filter(|tensor| tensor.is_plain_ram() && tensor.datum_type().is_copy());
        let Some(tensor) = tensor else { return Ok(None) };
        let bytes = tensor.as_bytes();
        let weights = Weights::borrowed(tensor.datum_type(), tensor.shape(), Arc::new(bytes.to_vec()), 0..bytes.len());
        weights.map(Some).map_err(|reason| EngineError::Weight { name: label.to_owned(), reason })
    }
}

/// Builds the model that `text` describes, with weights from `library`: our operators borrow theirs.
///
/// # Errors
/// [`EngineError::Read`] for text that is no tract-OPL, or that names an operator or a weight that is not there.
pub fn read(text: &str, library: &impl Library) -> Result<TypedModel, EngineError> {
    let mut failed = None;
    let read = guarded(|| {
        let doc = parse::document(text)?;
        let (tensors, weights) = gather(library, &variables(&doc)).map_err(|error| {
            let reason = error.to_string();
            failed = Some(error);
            reason
        })?;
        let resources = HashMap::from([weights::library(weights)]);
        let proto = ProtoModel { doc, tensors, quantization: None, resources };
        proto.validate().map_err(|error| explain(&error))?;
        let translate =
            |framework: &Nnef| framework.translate(&proto, TypedModel::default()).map_err(|(_, error)| explain(&error));
        let quick = dialect::for_graph(text).map_err(|error| explain(&error))?;
        translate(&quick).or_else(|_| translate(&COMPLETE))
    });
    read.map_err(|reason| failed.unwrap_or(EngineError::Read(reason)))
}

/// The tensors that a graph holds itself.
type Variables = HashMap<Identifier, Arc<Tensor>>;

/// What the library has for a graph's `variables`, and the weights that its operators borrow.
fn gather(
    library: &impl Library,
    variables: &HashSet<String>,
) -> Result<(Variables, HashMap<String, Weights>), EngineError> {
    let mut tensors = HashMap::new();
    let mut weights = HashMap::new();
    for label in library.labels() {
        if variables.contains(label) {
            tensors.insert(Identifier(label.to_owned()), Arc::new(library.tensor(label)?));
        } else if let Some(found) = library.weights(label)? {
            weights.insert(label.to_owned(), found);
        }
    }
    Ok((tensors, weights))
}

/// The labels of the tensors that a graph holds itself.
fn variables(doc: &ast::Document) -> HashSet<String> {
    let label = |assignment: &ast::Assignment| match &assignment.right {
        RValue::Invocation(invocation) if invocation.id.0 == "variable" => {
            invocation.arguments.iter().find_map(|argument| match (&argument.id, &argument.rvalue) {
                (Some(id), RValue::Literal(Literal::String(label))) if id.0 == "label" => Some(label.clone()),
                _ => None,
            })
        }
        _ => None,
    };
    doc.graph_def.body.iter().filter_map(label).collect()
}
