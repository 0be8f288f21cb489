//! An exported model, and what transformers makes of some inputs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use emberlite::engine::{Plan, read_graph, write_graph};
use emberlite_cli::import::{Imported, import, spelled};
use serde::Deserialize;
use tract_core::prelude::*;

/// How far a number may be from transformers' own, relative to the greater of 1 and itself.
const TOLERANCE: f32 = 5e-5;

/// A line of `encoders/index.json`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Export {
    /// The graph, without `.onnx`.
    pub(crate) file: String,
    /// The model and its reference.
    pub(crate) model: String,
    pub(crate) exporter: String,
    pub(crate) opset: i64,
    onnxruntime_off_by: f32,
}

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    inputs: HashMap<String, Numbers>,
    outputs: HashMap<String, Numbers>,
}

#[derive(Deserialize)]
struct Numbers {
    shape: Vec<usize>,
    data: Vec<f64>,
}

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/encoders").join(name)
}

fn read<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let text = std::fs::read_to_string(path(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

impl Export {
    pub(crate) fn all() -> Vec<Export> {
        read("index.json")
    }

    pub(crate) fn import(&self) -> Result<Imported, String> {
        import(&path(&format!("onnx/{}.onnx", self.file))).map_err(|error| format!("{}: {error}", self.file))
    }

    /// Checks the graph as imported, and as written and read back; gives the largest difference.
    pub(crate) fn check(&self) -> Result<f32, String> {
        let imported = self.import()?;
        check_shapes(&imported).map_err(|reason| format!("{}: shapes: {reason}", self.file))?;
        self.check_graph(&imported.model)
    }

    /// Checks a graph of this model as it is, and as written and read back; gives the largest difference.
    pub(crate) fn check_graph(&self, model: &TypedModel) -> Result<f32, String> {
        let said = |what: &str, reason: String| format!("{}: {what}: {reason}", self.file);
        let before = Plan::new(model.clone()).map_err(|error| said("as it is", error.to_string()))?;
        let graph = write_graph(&spelled(model)).map_err(|error| said("as written", error.to_string()))?;
        let again = read_graph(&graph.text, &graph).map_err(|error| said("as read back", error.to_string()))?;
        let after = Plan::new(again).map_err(|error| said("as read back", error.to_string()))?;
        let reference: Reference = read(&format!("references/{}.json", self.model));
        let mut worst = 0f32;
        let sees_padding = model.inputs.iter().any(|input| model.nodes[input.node].name == "attention_mask");
        for case in &reference.cases {
            if !sees_padding && case.inputs["attention_mask"].data.contains(&0.0) {
                continue;
            }
            for (which, plan) in [("as it is", &before), ("as read back", &after)] {
                worst = worst.max(self.compare(case, model, plan).map_err(|reason| said(which, reason))?);
            }
        }
        Ok(worst)
    }

    fn compare(&self, case: &Case, model: &TypedModel, plan: &Plan) -> Result<f32, String> {
        let names = model.inputs.iter().map(|outlet| &model.nodes[outlet.node].name);
        let inputs = names.map(|name| integers(&case.inputs[name])).collect();
        let shape = &case.inputs["input_ids"].shape;
        let outputs = plan.run(inputs).map_err(|error| format!("shape {shape:?}: {error}"))?;
        let mut worst = 0f32;
        let mut compared = 0;
        for (outlet, got) in model.outputs.iter().zip(&outputs) {
            let name = model.outlet_label(*outlet).unwrap();
            let Some(expected) = case.outputs.get(name) else { continue };
            let tolerance = self.tolerance();
            let mask = (expected.shape.len() == 3).then(|| &case.inputs["attention_mask"]);
            let distance =
                distance(expected, got, mask).map_err(|reason| format!("shape {shape:?}, `{name}`: {reason}"))?;
            if distance > tolerance {
                return Err(format!("shape {shape:?}, `{name}`: off by {distance}"));
            }
            worst = worst.max(distance);
            compared += 1;
        }
        if compared == 0 { Err("no output is in the reference".to_owned()) } else { Ok(worst) }
    }

    /// What onnxruntime made smaller must be as near to the model as onnxruntime itself comes with it.
    fn tolerance(&self) -> f32 {
        if self.exporter.contains("int8") || self.exporter.contains("16 bit") {
            self.onnxruntime_off_by
        } else {
            TOLERANCE
        }
    }
}

fn check_shapes(imported: &Imported) -> Result<(), String> {
    for index in 0..imported.model.inputs.len() {
        let fact = imported.model.input_fact(index).unwrap();
        let shape: Vec<String> = fact.shape.iter().map(ToString::to_string).collect();
        if shape != ["N", "S"] {
            return Err(format!("expected input {index} of [N, S], got {shape:?}"));
        }
    }
    Ok(())
}

fn integers(numbers: &Numbers) -> Tensor {
    let data: Vec<i64> = numbers.data.iter().map(|&value| value as i64).collect();
    Tensor::from_shape(&numbers.shape, &data).unwrap()
}

/// The largest difference, relative to the greater of 1 and what is expected. Of hidden states only those of tokens
/// that `mask` lets through count: nothing reads the others, and each exporter leaves something else there.
fn distance(expected: &Numbers, got: &Tensor, mask: Option<&Numbers>) -> Result<f32, String> {
    if got.shape() != expected.shape {
        return Err(format!("expected the shape {:?}, got {:?}", expected.shape, got.shape()));
    }
    let view = got.to_plain_array_view::<f32>().map_err(|error| error.to_string())?;
    let width = mask.map_or(1, |_| expected.shape[2]);
    let counts = |index: usize| mask.is_none_or(|mask| mask.data[index / width] == 1.0);
    let pairs = expected.data.iter().zip(view.iter()).enumerate().filter(|(index, _)| counts(*index));
    let distances = pairs.map(|(_, (&expected, &got))| (expected as f32 - got).abs() / expected.abs().max(1.0) as f32);
    distances
        .map(|distance| if distance.is_nan() { Err("not a number".to_owned()) } else { Ok(distance) })
        .try_fold(0f32, |worst, distance| Ok(worst.max(distance?)))
}
