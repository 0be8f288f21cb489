//! Cold starts: MiniLM, diagnosis and a language model in SmolLM2-135M's shape, from a folder and from S3.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{add, pack, peers, quantized_onnx};
use crate::python;
use crate::workspace::{self, Workspace, succeed};

/// The demo model whose package is taken as it is.
const DIAGNOSIS: &str = "models/diagnosis";

/// Packs the models into one store, puts the peer's files beside them, and compares.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    python::install(workspace, "benches/requirements.txt")?;
    succeed(workspace.cargo(workspace::BUILD).arg("--release"))?;
    let programs = workspace.target()?.join("release");
    let work = workspace.target()?.join("bench/cold-start");
    let weights = workspace.target()?.join("bench/language");
    fs::create_dir_all(&weights).with_context(|| format!("can't make {}", weights.display()))?;
    let python = python::program(workspace, "python");
    let model = workspace.path("benches/peers/language/model.py");
    succeed(workspace.command(&python).arg(model).arg(&weights))?;

    let store = work.join("store");
    let encoder = workspace.path(python::ENCODER);
    pack(workspace, &programs, &encoder, &store, &["--name", "minilm", "--quantize", "int8"])?;
    add(workspace, &programs, &weights.join("q4.gguf"), &store, &["--name", "random", "--quantize", "q4"])?;
    copy(&workspace.path(DIAGNOSIS), &store.join(DIAGNOSIS))?;

    let minilm = store.join("models/minilm");
    quantized_onnx(workspace, &work, &minilm.join("model.onnx"))?;
    fs::copy(encoder.join("tokenizer.json"), minilm.join("tokenizer.json")).context("can't copy the tokenizer")?;
    succeed(peers(workspace, "starts")?.arg("--store").arg(&store).args(arguments))
}

/// Copies a model's package and pointer into a store.
fn copy(model: &Path, into: &Path) -> Result<()> {
    fs::create_dir_all(into).with_context(|| format!("can't make {}", into.display()))?;
    for entry in fs::read_dir(model).with_context(|| format!("can't read {}", model.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if name == "current.json" || path.extension().is_some_and(|extension| extension == "ember") {
            fs::copy(&path, into.join(name)).with_context(|| format!("can't copy {}", path.display()))?;
        }
    }
    Ok(())
}
