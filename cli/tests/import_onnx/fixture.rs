//! A fixture: a model, some rows, and what onnxruntime makes of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use emberlite_cli::import::{Imported, import, spelled};
use serde_json::{Map, Value};
use tract_core::prelude::*;
use tract_nnef::ast::{self, ProtoModel};
use tract_nnef::framework::Nnef;

/// How far a float may be from onnxruntime's, relative to the greater of 1 and itself.
const TOLERANCE: f64 = 1e-5;

/// One of the files that `fixtures/make.py` made, imported.
pub(crate) struct Fixture {
    pub(crate) imported: Imported,
    inputs: HashMap<String, Tensor>,
    outputs: Vec<(String, Tensor)>,
}

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

impl Fixture {
    pub(crate) fn load(name: &str) -> Fixture {
        Fixture::at(&path(&format!("{name}.onnx")))
    }

    pub(crate) fn at(model: &Path) -> Fixture {
        let text = std::fs::read_to_string(model.with_extension("json")).unwrap();
        let case: Value = serde_json::from_str(&text).unwrap();
        Fixture {
            imported: import(model).unwrap(),
            inputs: tensors(&case["inputs"]).into_iter().collect(),
            outputs: tensors(&case["outputs"]),
        }
    }

    /// Asserts that the model, as imported and after a round trip through tract-OPL text, gives what onnxruntime
    /// gives, by itself and in batches.
    pub(crate) fn assert_matches(&self) {
        let model = &self.imported.model;
        assert_eq!(names(model).1, self.outputs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
        self.assert_runs(model, "as imported");
        let again = round_trip(model, true);
        assert_eq!(names(model), names(&again));
        self.assert_runs(&again, "read back");
        self.assert_matches_with_plain_names();
    }

    /// Asserts the same of a round trip for which every name was spelled plainly.
    pub(crate) fn assert_matches_with_plain_names(&self) {
        self.assert_runs(&round_trip(&spelled(&self.imported.model), false), "read back with plain names");
    }

    /// `model` may give its inputs other names, but not another order.
    fn assert_runs(&self, model: &TypedModel, which: &str) {
        let rows = self.inputs.values().next().unwrap().shape()[0];
        let plan = model.clone().into_optimized().unwrap().into_runnable().unwrap();
        for count in [1, 3, 64].into_iter().filter(|&count| count <= rows) {
            let input = |name: &String| self.inputs[name].slice(0, 0, count).unwrap().into_tvalue();
            let given: TVec<TValue> = names(&self.imported.model).0.iter().map(input).collect();
            let got = plan.run(given).unwrap();
            for ((name, expected), got) in self.outputs.iter().zip(&got) {
                let expected = expected.slice(0, 0, count).unwrap();
                assert_close(&expected, got, &format!("`{name}`, {which}, {count} rows"));
            }
        }
    }

    /// Runs the model on `inputs`, by name.
    pub(crate) fn run(&self, inputs: &[(&str, Tensor)]) -> TractResult<TVec<TValue>> {
        let plan = self.imported.model.clone().into_optimized()?.into_runnable()?;
        let value = |name: &String| inputs.iter().find(|(given, _)| given == name).unwrap().1.clone().into_tvalue();
        plan.run(names(&self.imported.model).0.iter().map(value).collect())
    }
}

/// The names of a model's inputs and outputs.
pub(crate) fn names(model: &TypedModel) -> (Vec<String>, Vec<String>) {
    let inputs = model.inputs.iter().map(|outlet| model.nodes[outlet.node].name.clone()).collect();
    let outputs = model.outputs.iter().map(|&outlet| model.outlet_label(outlet).unwrap().to_owned()).collect();
    (inputs, outputs)
}

/// `escaped`: whether the text may spell any name, or only plain ones.
fn round_trip(model: &TypedModel, escaped: bool) -> TypedModel {
    let mut framework: Nnef =
        tract_nnef::nnef().with_registry(tract_onnx_opl::onnx_opl_registry()).with_registry(emberlite::ops::registry());
    framework.allow_extended_identifier_syntax(escaped);
    let proto = tract_nnef::ser::to_proto_model(&framework, model).unwrap();
    for (label, tensor) in &proto.tensors {
        assert_ne!(tensor.datum_type(), DatumType::String, "`{}` cannot be stored", label.0);
    }
    let mut text = Vec::new();
    ast::dump::Dumper::new(&framework, &mut text).document(&proto.doc).unwrap();
    let text = String::from_utf8(text).unwrap();
    let doc = ast::parse::parse_document(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let read = ProtoModel { doc, tensors: proto.tensors, quantization: None, resources: HashMap::new() };
    read.validate().unwrap();
    match framework.translate(&read, TypedModel::default()) {
        Ok(model) => model.into_decluttered().unwrap(),
        Err((_, error)) => panic!("{error:?}\n{text}"),
    }
}

fn assert_close(expected: &Tensor, got: &Tensor, what: &str) {
    assert_eq!(expected.shape(), got.shape(), "shape of {what}");
    if !expected.datum_type().is_float() {
        assert_eq!(expected, got, "{what}");
        return;
    }
    assert_eq!(expected.datum_type(), got.datum_type(), "type of {what}");
    let (expected, got) = (expected.cast_to::<f64>().unwrap(), got.cast_to::<f64>().unwrap());
    let (expected, got) = (expected.try_as_plain_ram().unwrap(), got.try_as_plain_ram().unwrap());
    let pairs = expected.as_slice::<f64>().unwrap().iter().zip(got.as_slice::<f64>().unwrap());
    for (at, (expected, got)) in pairs.enumerate() {
        let alike = expected == got || expected.is_nan() && got.is_nan();
        let close = (expected - got).abs() <= TOLERANCE * expected.abs().max(1.0);
        assert!(alike || close, "{what}, element {at}: onnxruntime gives {expected}, tract {got}");
    }
}

fn tensors(values: &Value) -> Vec<(String, Tensor)> {
    let values: &Map<String, Value> = values.as_object().unwrap();
    values.iter().map(|(name, value)| (name.clone(), tensor(value))).collect()
}

fn tensor(value: &Value) -> Tensor {
    let shape: Vec<usize> = value["shape"].as_array().unwrap().iter().map(|d| d.as_u64().unwrap() as usize).collect();
    let data = value["data"].as_array().unwrap();
    let float = |v: &Value| match v {
        Value::Null => f64::NAN,
        Value::String(text) => text.parse().unwrap(),
        v => v.as_f64().unwrap(),
    };
    let flat = match value["dtype"].as_str().unwrap() {
        "string" => tensor1(&data.iter().map(|v| v.as_str().unwrap().to_owned()).collect::<Vec<_>>()),
        "float32" => tensor1(&data.iter().map(|v| float(v) as f32).collect::<Vec<_>>()),
        "float64" => tensor1(&data.iter().map(float).collect::<Vec<_>>()),
        "int64" => tensor1(&data.iter().map(|v| v.as_i64().unwrap()).collect::<Vec<_>>()),
        "int32" => tensor1(&data.iter().map(|v| v.as_i64().unwrap() as i32).collect::<Vec<_>>()),
        "bool" => tensor1(&data.iter().map(|v| v.as_i64().unwrap() != 0).collect::<Vec<_>>()),
        other => panic!("unknown type {other}"),
    };
    flat.into_shape(&shape).unwrap()
}
