//! Language models: random weights in SmolLM2-135M's shape on the function `generate` and on llama.cpp.

use std::fs;

use anyhow::{Context as _, Result};

use super::pack;
use crate::python;
use crate::workspace::{self, Workspace, succeed};

/// The stores, and how the file of the same name is packed for each.
const PACKAGES: [(&str, &str); 2] = [("q4", "q4"), ("q8", "int8")];

/// Makes the weights, packs them, builds llama.cpp from the sources that its PyPI package carries, and compares.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    python::install(workspace, "benches/requirements.txt")?;
    succeed(workspace.cargo(workspace::BUILD).arg("--release"))?;
    let programs = workspace.target()?.join("release");
    let work = workspace.target()?.join("bench/language");
    fs::create_dir_all(&work).with_context(|| format!("can't make {}", work.display()))?;
    let python = python::program(workspace, "python");
    let scripts = workspace.path("benches/peers/language");
    succeed(workspace.command(&python).arg(scripts.join("llama_cpp.py")).arg(&work))?;
    succeed(workspace.command(&python).arg(scripts.join("model.py")).arg(&work))?;
    let stores = work.join("stores");
    for (name, format) in PACKAGES {
        let source = work.join(name).with_extension("gguf");
        pack(workspace, &programs, &source, &stores.join(name), &["--name", "random", "--quantize", format])?;
    }
    let mut compare = workspace.command(&python);
    compare.arg(&scripts).arg("--generate").arg(programs.join("generate")).arg("--stores").arg(&stores);
    compare.arg("--llama-server").arg(work.join("llama-server")).arg("--models").arg(&work);
    succeed(compare.args(arguments))
}
