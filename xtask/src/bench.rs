//! `cargo xtask bench`: the same work on Emberlite and on what a user would pick instead, in one table.

mod cold_start;
mod encoders;
mod language;
mod packer;
mod queue;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use crate::python;
use crate::workspace::{self, Workspace, succeed};

#[derive(Debug, Args)]
pub(crate) struct Request {
    /// What to compare
    #[arg(default_value = "predict")]
    what: Comparison,
    /// Arguments for the comparison; `-- --help` lists them
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// What is compared, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Comparison {
    /// Tables: Flask with onnxruntime
    Predict,
    /// The encoder MiniLM: onnxruntime and tokenizers
    Encoders,
    /// A language model in SmolLM2-135M's shape: llama.cpp
    Language,
    /// From the start of a process to its first answer, over lines of known speed: onnxruntime, tokenizers and boto3
    ColdStart,
    /// MiniLM over a queue: a worker in Python with onnxruntime
    Queue,
    /// What pruning and quantizing cost and win: onnxruntime's quantization
    Packer,
}

/// Runs a comparison.
///
/// # Errors
/// Whatever could not be built, packed or measured.
pub(crate) fn run(workspace: &Workspace, request: &Request) -> Result<()> {
    python::set_up(workspace)?;
    match request.what {
        Comparison::Predict => peers(workspace, "tables").and_then(|mut peers| succeed(peers.args(&request.arguments))),
        Comparison::Encoders => encoders::run(workspace, &request.arguments),
        Comparison::Language => language::run(workspace, &request.arguments),
        Comparison::ColdStart => cold_start::run(workspace, &request.arguments),
        Comparison::Queue => queue::run(workspace, &request.arguments),
        Comparison::Packer => packer::run(workspace, &request.arguments),
    }
}

/// A comparison of the program `peers`.
fn peers(workspace: &Workspace, comparison: &str) -> Result<Command> {
    succeed(workspace.cargo(workspace::BUILD).arg("--release"))?;
    let mut peers = workspace.command(workspace.target()?.join("release/peers"));
    peers.arg(comparison);
    Ok(peers)
}

/// Packs a model into a store that is made anew.
fn pack(workspace: &Workspace, programs: &Path, source: &Path, store: &PathBuf, options: &[&str]) -> Result<()> {
    if store.exists() {
        fs::remove_dir_all(store).with_context(|| format!("can't remove {}", store.display()))?;
    }
    add(workspace, programs, source, store, options)
}

/// Packs a model into a store, beside what is there.
fn add(workspace: &Workspace, programs: &Path, source: &Path, store: &PathBuf, options: &[&str]) -> Result<()> {
    fs::create_dir_all(store).with_context(|| format!("can't make {}", store.display()))?;
    let emberlite = programs.join("emberlite");
    let package = store.with_extension("ember");
    let mut pack = workspace.command(&emberlite);
    succeed(pack.arg("pack").arg(source).arg("--output").arg(&package).args(options))?;
    succeed(workspace.command(&emberlite).arg("push").arg(&package).arg("--store").arg(store))?;
    fs::remove_file(&package).with_context(|| format!("can't remove {}", package.display()))
}

/// Writes MiniLM as an ONNX file in onnxruntime's int8, by way of one in single precision in `work`.
fn quantized_onnx(workspace: &Workspace, work: &Path, file: &Path) -> Result<()> {
    let python = python::program(workspace, "python");
    let (scripts, exact) = (workspace.path("benches/peers"), work.join("minilm.onnx"));
    let encoder = workspace.path(python::ENCODER);
    succeed(workspace.command(&python).arg(scripts.join("encoders/minilm_onnx.py")).arg(encoder).arg(&exact))?;
    succeed(workspace.command(&python).arg(scripts.join("starts/quantize.py")).arg(&exact).arg(file))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is no text", path.display()))
}
