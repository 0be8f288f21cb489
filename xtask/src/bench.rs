//! `cargo xtask bench`: the same work on Emberlite and on what a user would pick instead, in one table.

use std::fs;
use std::path::{Path, PathBuf};

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
}

/// The data that accuracy and throughput are measured on, where it lies beside the checkout.
const BANKING77: &str = "../shared/data/banking77";
/// What the packages of MiniLM are called, and how each is packed.
const PACKAGES: [(&str, &[&str]); 3] =
    [("int8", &["--quantize", "int8"]), ("f32", &["--quantize", "none"]), ("bf16", &["--quantize", "bf16"])];

/// Runs a comparison.
///
/// # Errors
/// Whatever could not be built, packed or measured.
pub(crate) fn run(workspace: &Workspace, request: &Request) -> Result<()> {
    python::set_up(workspace)?;
    match request.what {
        Comparison::Predict => predict(workspace, &request.arguments),
        Comparison::Encoders => encoders(workspace, &request.arguments),
    }
}

fn predict(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let peers = ["run", "--release", "--package", "emberlite-benches", "--bin", "peers", "--"];
    succeed(workspace.cargo(peers).args(arguments))
}

fn encoders(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    python::install(workspace, "benches/requirements.txt")?;
    succeed(workspace.cargo(workspace::BUILD).arg("--release"))?;
    let programs = workspace.target()?.join("release");
    let folder = workspace.path(python::ENCODER);
    let work = workspace.target()?.join("bench/encoders");
    let stores = work.join("stores");
    let pack = |name: &str, options: &[&str]| pack(workspace, &programs, &folder, &stores.join(name), options);
    for (name, options) in PACKAGES {
        pack(name, options)?;
    }
    let data = workspace.path(BANKING77);
    let train = data.join("train.csv");
    if train.is_file() {
        pack("trimmed", &["--vocab-from", text(&train)?])?;
    }

    let python = python::program(workspace, "python");
    let scripts = workspace.path("benches/peers/encoders");
    let onnx = work.join("minilm.onnx");
    succeed(workspace.command(&python).arg(scripts.join("minilm_onnx.py")).arg(&folder).arg(&onnx))?;
    let mut compare = workspace.command(&python);
    compare.arg(&scripts).arg("--embed").arg(programs.join("embed")).arg("--stores").arg(&stores);
    compare.arg("--onnx").arg(&onnx).arg("--tokenizer").arg(folder.join("tokenizer.json"));
    if train.is_file() {
        compare.arg("--banking77").arg(&data);
    }
    succeed(compare.args(arguments))
}

/// Packs a model folder into a store of its own, made anew.
fn pack(workspace: &Workspace, programs: &Path, folder: &Path, store: &PathBuf, options: &[&str]) -> Result<()> {
    if store.exists() {
        fs::remove_dir_all(store).with_context(|| format!("can't remove {}", store.display()))?;
    }
    fs::create_dir_all(store).with_context(|| format!("can't make {}", store.display()))?;
    let emberlite = programs.join("emberlite");
    let package = store.with_extension("ember");
    let mut pack = workspace.command(&emberlite);
    succeed(pack.arg("pack").arg(folder).args(["--name", "minilm", "--output"]).arg(&package).args(options))?;
    succeed(workspace.command(&emberlite).arg("push").arg(&package).arg("--store").arg(store))?;
    fs::remove_file(&package).with_context(|| format!("can't remove {}", package.display()))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is no text", path.display()))
}
