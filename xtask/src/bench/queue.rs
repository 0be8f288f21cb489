//! Queues: MiniLM on the function `consume` and on a worker in Python.

use anyhow::Result;

use super::{pack, quantized_onnx};
use crate::python;
use crate::workspace::{self, Workspace, succeed};

/// What is embedded, over and over, each time with other numbers.
const SENTENCES: &str = "cli/src/texts/sentences.txt";

/// Packs MiniLM, quantizes the peer's, and compares.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    python::install(workspace, "benches/requirements.txt")?;
    succeed(workspace.cargo(workspace::BUILD).arg("--release"))?;
    let programs = workspace.target()?.join("release");
    let work = workspace.target()?.join("bench/queue");
    let (store, encoder) = (work.join("store"), workspace.path(python::ENCODER));
    pack(workspace, &programs, &encoder, &store, &["--name", "minilm", "--quantize", "int8"])?;
    let onnx = work.join("int8.onnx");
    quantized_onnx(workspace, &work, &onnx)?;
    let mut compare = workspace.command(python::program(workspace, "python"));
    compare.arg(workspace.path("benches/peers/queue")).arg("--consume").arg(programs.join("consume"));
    compare.arg("--store").arg(&store).arg("--onnx").arg(&onnx).arg("--tokenizer").arg(encoder.join("tokenizer.json"));
    succeed(compare.arg("--sentences").arg(workspace.path(SENTENCES)).args(arguments))
}
