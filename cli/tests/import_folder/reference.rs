//! A folder, and what transformers or sentence-transformers make of it.

use std::path::{Path, PathBuf};

use emberlite::engine::{Plan, read_graph, write_graph};
use emberlite::model::TextSpec;
use emberlite_cli::import::{Imported, import, spelled};
use serde_json::Value;
use tract_core::prelude::*;

/// How far a number may be from the reference.
const TOLERANCE: f32 = 1e-4;

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/encoders/folders").join(name)
}

/// One of the folders that `encoders/folders.py` made, imported.
pub(crate) struct Reference {
    pub(crate) imported: Imported,
    pub(crate) value: Value,
}

impl Reference {
    pub(crate) fn load(name: &str) -> Self {
        Self::at(&path(name))
    }

    pub(crate) fn at(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join("reference.json")).unwrap();
        let imported = import(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        Self { imported, value: serde_json::from_str(&text).unwrap() }
    }

    pub(crate) fn text(&self) -> &TextSpec {
        self.imported.text.as_ref().unwrap()
    }

    /// Asserts that output `name` is the graph's, for texts alone and in padded batches, before and after a round trip
    /// through tract-OPL.
    pub(crate) fn assert_output(&self, name: &str) {
        for (which, plan) in self.plans(&self.imported.model) {
            for case in self.cases() {
                let got = plan.run(self.inputs(case)).unwrap();
                assert_close(&floats(&case["outputs"][name]), got[0].as_ref(), &format!("{name}, {which}"));
            }
        }
    }

    /// How far output 0 is from output `name` of the reference at most.
    pub(crate) fn distance(&self, name: &str) -> f32 {
        let plan = Plan::new(self.imported.model.clone()).unwrap();
        let distance = |case: &Value| {
            let got = plan.run(self.inputs(case)).unwrap();
            let got = got[0].try_as_plain_ram().unwrap();
            let (_, expected) = floats(&case["outputs"][name]);
            let pairs = expected.iter().zip(got.as_slice::<f32>().unwrap());
            pairs.map(|(expected, got)| (expected - got).abs()).fold(0.0, f32::max)
        };
        self.cases().iter().map(distance).fold(0.0, f32::max)
    }

    /// Asserts that the vectors of tokens are the reference's, wherever there is a token.
    pub(crate) fn assert_hidden(&self) {
        let mut model = self.imported.model.clone();
        let pool = model.node_by_name("pool").unwrap().inputs[0];
        model.select_output_outlets(&[pool]).unwrap();
        for (which, plan) in self.plans(&model) {
            for case in self.cases() {
                assert_eq!(model.inputs.len(), case["inputs"].as_object().unwrap().len());
                let mask = integers(&case["inputs"]["attention_mask"]);
                let (shape, expected) = floats(&case["outputs"]["last_hidden_state"]);
                let got = plan.run(self.inputs(case)).unwrap();
                assert_eq!(got[0].shape(), shape);
                let got = got[0].try_as_plain_ram().unwrap();
                let rows = expected.chunks(shape[2]).zip(got.as_slice::<f32>().unwrap().chunks(shape[2]));
                for ((expected, got), kept) in rows.zip(&mask) {
                    let near = expected.iter().zip(got).all(|(a, b)| (a - b).abs() <= TOLERANCE);
                    assert!(*kept == 0 || near, "{which}: expected {expected:?}, got {got:?}");
                }
            }
        }
    }

    fn cases(&self) -> &[Value] {
        self.value["cases"].as_array().unwrap()
    }

    fn plans(&self, model: &TypedModel) -> [(&'static str, Plan); 2] {
        let graph = write_graph(&spelled(model)).unwrap();
        let again = read_graph(&graph.text, &graph).unwrap_or_else(|error| panic!("{error}\n{}", graph.text));
        [("as imported", Plan::new(model.clone()).unwrap()), ("read back", Plan::new(again).unwrap())]
    }

    /// A case's inputs in the graph's order.
    fn inputs(&self, case: &Value) -> Vec<Tensor> {
        let model = &self.imported.model;
        let names = model.inputs.iter().map(|outlet| model.node(outlet.node).name.as_str());
        let names: Vec<&str> = names.collect();
        let tensor = |name: &&str| {
            let value = &case["inputs"][*name];
            tensor1(&integers(value)).into_shape(&shape(value)).unwrap()
        };
        names.iter().map(tensor).collect()
    }
}

pub(crate) fn assert_close((shape, expected): &(Vec<usize>, Vec<f32>), got: &Tensor, what: &str) {
    assert_eq!(got.shape(), shape, "{what}");
    let got = got.try_as_plain_ram().unwrap();
    for (index, (expected, got)) in expected.iter().zip(got.as_slice::<f32>().unwrap()).enumerate() {
        assert!((expected - got).abs() <= TOLERANCE, "{what}, element {index}: expected {expected}, got {got}");
    }
}

fn shape(value: &Value) -> Vec<usize> {
    value["shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect()
}

fn integers(value: &Value) -> Vec<i64> {
    value["data"].as_array().unwrap().iter().map(|number| number.as_i64().unwrap()).collect()
}

fn floats(value: &Value) -> (Vec<usize>, Vec<f32>) {
    (shape(value), value["data"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect())
}
