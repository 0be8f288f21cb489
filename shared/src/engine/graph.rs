//! A graph between its two forms: tract's model, and tract-OPL text with named weights.

use std::collections::HashMap;
use std::sync::Arc;

use tract_core::prelude::{Tensor, TypedModel};
use tract_nnef::ast::{self, Identifier, ProtoModel};
use tract_nnef::framework::Nnef;

use super::dialect::{self, COMPLETE};
use super::{EngineError, explain, guarded};

/// A graph as tract-OPL text, its weights beside it.
///
/// The text follows the NNEF 1.0 specification with tract's extensions and ours (`emberlite_*`).
#[derive(Debug, Default)]
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

/// Builds the model that `graph` describes.
///
/// # Errors
/// [`EngineError::Read`] for text that is no tract-OPL, or that names an operator or a weight that is not there.
pub fn read(graph: Graph) -> Result<TypedModel, EngineError> {
    guarded(|| {
        let doc = ast::parse::parse_document(&graph.text).map_err(|error| explain(&error))?;
        let tensors = graph.weights.into_iter().map(|(label, tensor)| (Identifier(label), tensor)).collect();
        let proto = ProtoModel { doc, tensors, quantization: None, resources: HashMap::new() };
        proto.validate().map_err(|error| explain(&error))?;
        let translate =
            |framework: &Nnef| framework.translate(&proto, TypedModel::default()).map_err(|(_, error)| explain(&error));
        let quick = dialect::for_graph(&graph.text).map_err(|error| explain(&error))?;
        translate(&quick).or_else(|_| translate(&COMPLETE))
    })
    .map_err(EngineError::Read)
}
