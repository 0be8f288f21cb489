//! The packer: what pruning and quantizing cost and win, beside onnxruntime's quantization.

use anyhow::Result;

use super::text;
use crate::python;
use crate::workspace::{self, Workspace, succeed};

/// Where data and models lie beside the checkout.
const SHARED: &str = "../shared";

/// Makes an ONNX file of MiniLM, packs all models in several ways, and compares.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    python::install(workspace, "benches/requirements.txt")?;
    succeed(workspace.cargo(workspace::BUILD).arg("--release"))?;
    let shared = workspace.path(SHARED);
    let banking77 = shared.join("data/banking77");
    anyhow::ensure!(
        banking77.join("train.csv").is_file(),
        "the comparison needs banking77's train.csv and test.csv in {}",
        banking77.display()
    );
    let work = workspace.target()?.join("bench/packer");
    std::fs::create_dir_all(&work)?;
    let (python, folder) = (python::program(workspace, "python"), workspace.path(python::ENCODER));
    let onnx = work.join("minilm.onnx");
    let script = workspace.path("benches/peers/encoders/minilm_onnx.py");
    succeed(workspace.command(&python).arg(script).arg(&folder).arg(&onnx))?;
    let mut compare = workspace.command(&python);
    compare.arg(workspace.path("benches/peers/packer"));
    compare.arg("--emberlite").arg(workspace.target()?.join("release/emberlite"));
    compare.arg("--minilm").arg(&folder).arg("--onnx").arg(&onnx);
    compare.arg("--models").arg(workspace.path("models")).arg("--banking77").arg(&banking77);
    let others = [("--german-credit", "data/german_credit/german.data"), ("--tinystories", "models/tinystories_260k")];
    for (flag, path) in others {
        let path = shared.join(path);
        if path.exists() {
            compare.args([flag, text(&path)?]);
        }
    }
    succeed(compare.args(arguments))
}
