//! Encoders: MiniLM on the function `embed` and on onnxruntime.

use anyhow::Result;

use super::{pack, text};
use crate::python;
use crate::workspace::{self, Workspace, succeed};

/// The data that accuracy and throughput are measured on, where it lies beside the checkout.
const BANKING77: &str = "../shared/data/banking77";
/// What the packages of MiniLM are called, and how each is packed.
const PACKAGES: [(&str, &[&str]); 3] =
    [("int8", &["--quantize", "int8"]), ("f32", &["--quantize", "none"]), ("bf16", &["--quantize", "bf16"])];

/// Packs MiniLM, makes an ONNX file of it, and compares.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    python::install(workspace, "benches/requirements.txt")?;
    succeed(workspace.cargo(workspace::BUILD).arg("--release"))?;
    let programs = workspace.target()?.join("release");
    let folder = workspace.path(python::ENCODER);
    let work = workspace.target()?.join("bench/encoders");
    let stores = work.join("stores");
    let pack = |store: &str, options: &[&str]| {
        pack(workspace, &programs, &folder, &stores.join(store), &[&["--name", "minilm"], options].concat())
    };
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
