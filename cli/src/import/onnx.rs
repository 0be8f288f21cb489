//! ONNX files: read, normalised, checked for missing operators, and handed to tract.

mod axes;
mod contrib;
mod guard;
mod halves;
mod integers;
mod missing;
mod nodes;
mod normalise;
mod operators;
mod quantized;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tract_onnx::pb::ModelProto;
use tract_onnx::tract_hir::infer::{Factoid, InferenceModelExt};
use tract_onnx::tract_hir::prelude::{Framework, InferenceModel, TypedModel};

use super::{ImportError, Imported, Source, names};
use guard::guarded;

const TESTED_OPSETS: std::ops::RangeInclusive<i64> = 9..=18;

pub(super) fn import(path: &Path, bytes: &[u8]) -> Result<Imported, ImportError> {
    let not_onnx = |reason: String| ImportError::NotOnnx { path: path.to_owned(), reason };
    let framework = operators::framework();
    let mut proto = framework.proto_model_for_read(&mut &*bytes).map_err(|error| not_onnx(error.to_string()))?;
    if proto.graph.as_ref().is_none_or(|graph| graph.node.is_empty() && graph.output.is_empty()) {
        return Err(not_onnx("it holds no graph".to_owned()));
    }
    let opset = opset(&proto);
    let mut warnings = Vec::new();
    if let Some(version) = opset.filter(|version| !TESTED_OPSETS.contains(version)) {
        warnings.push(format!(
            "the file uses operator set {version}; only {} to {} are tested",
            TESTED_OPSETS.start(),
            TESTED_OPSETS.end()
        ));
    }
    let normalised = normalise::normalise(&mut proto);
    warnings.extend(normalised.warnings);
    let operators = missing::operators(&framework, &proto);
    if !operators.is_empty() {
        return Err(ImportError::MissingOperators { operators });
    }
    let beside = path.parent().unwrap_or(Path::new(""));
    if let Some(missing) = side_files(&proto).into_iter().find(|name| !beside.join(name).is_file()) {
        let reason =
            format!("`{}` has weights in `{missing}`, which is not beside it: copy that file too", path.display());
        return Err(ImportError::Refused { reason });
    }
    let folder = path.parent().and_then(Path::to_str);
    let parsed = guarded(|| framework.parse(&proto, folder))?;
    if let Some(name) = parsed.unresolved_inputs.first() {
        return Err(ImportError::Refused { reason: format!("no node makes the tensor `{name}`") });
    }
    let mut model = typed(parsed.model)?;
    names::clean(&mut model, &normalised.outputs)
        .map_err(|error| ImportError::Refused { reason: guard::explain(&error) })?;
    Ok(Imported {
        words: words::by_input(&model),
        model,
        batch: normalised.batch,
        labels: normalised.labels,
        task: None,
        text: None,
        generate: None,
        q4: BTreeMap::new(),
        tokenizer: None,
        source: source(path, &proto, opset),
        warnings,
    })
}

fn typed(mut model: InferenceModel) -> Result<TypedModel, ImportError> {
    guarded(|| model.analyse(false))?;
    for outlet in &model.inputs {
        let node = &model.nodes[outlet.node];
        let dims = node.outputs[outlet.slot].fact.shape.dims();
        if let Some(axis) = dims.enumerate().find_map(|(axis, dim)| (!dim.is_concrete()).then_some(axis)) {
            return Err(ImportError::OpenAxis { input: node.name.clone(), axis });
        }
    }
    guarded(|| integers::settle(&model.into_typed()?)?.into_decluttered())
}

fn opset(proto: &ModelProto) -> Option<i64> {
    let standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    proto.opset_import.iter().find(|import| standard(&import.domain)).map(|import| import.version)
}

fn source(path: &Path, proto: &ModelProto, opset: Option<i64>) -> Source {
    let producer = format!("{} {}", proto.producer_name, proto.producer_version);
    let producer = Some(producer.trim().to_owned()).filter(|name| !name.is_empty());
    let folder = path.parent().unwrap_or(Path::new(""));
    let files = std::iter::once(path.to_owned()).chain(side_files(proto).into_iter().map(|name| folder.join(name)));
    Source { format: "onnx", producer, opset, files: files.collect() }
}

/// The files beside the graph that hold its weights.
fn side_files(proto: &ModelProto) -> BTreeSet<&str> {
    let tensors = proto.graph.iter().flat_map(|graph| &graph.initializer);
    let entries = tensors.flat_map(|tensor| &tensor.external_data).filter(|entry| entry.key == "location");
    entries.map(|entry| entry.value.as_str()).collect()
}
