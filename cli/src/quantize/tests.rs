//! The transform on a graph: formats change, names and everything else stay.

use emberlite::engine::Plan;
use emberlite::ops::{Linear, Lookup, Norm, Pool, Pooling};
use tract_core::internal::*;

use super::*;
use crate::calibrate::Calibration;
use crate::progress::Progress;
use crate::recipe::QuantizeSettings;

/// Inputs to calibrate with, by themselves.
struct Given {
    inputs: Vec<Vec<Tensor>>,
}

impl Calibration for Given {
    fn name(&self) -> &str {
        "given inputs"
    }

    fn run(&self, model: &TypedModel, _: &Progress) -> Result<()> {
        self.outputs(model).map(|_| ())
    }

    fn outputs(&self, model: &TypedModel) -> Result<Vec<Vec<f32>>> {
        let plan = Plan::new(model.clone())?;
        Probe { inputs: self.inputs.clone() }.numbers(|inputs| plan.run(inputs))
    }

    fn expected(&self) -> Result<&[Vec<f32>]> {
        Ok(&[])
    }

    fn distance(&self, expected: &[Vec<f32>], got: &[Vec<f32>]) -> f64 {
        Measure::Vectors.error(expected, got)
    }
}

fn table(rows: usize, width: usize) -> Table {
    let values: Vec<f32> = (0..rows * width).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
    Table::new(&values, rows, width).unwrap()
}

fn linear(outputs: usize, inputs: usize) -> Linear {
    let values: Vec<f32> = (0..outputs * inputs).map(|i| ((i * 53 % 89) as f32 - 44.0) / 44.0).collect();
    Linear::new(&values, outputs, inputs, None).unwrap()
}

/// Ids to rows of 8, to 6, to 8 again with a residual.
fn model() -> TypedModel {
    let mut model = TypedModel::default();
    let shape = ["N", "S"].map(|symbol| TDim::from(model.symbols.sym(symbol)));
    let ids = model.add_source("ids", i64::fact(shape)).unwrap();
    let embedding = Embedding::new(vec![(table(20, 8), Lookup::Input(0))]).unwrap();
    let embedded = model.wire_node("words", embedding, &[ids]).unwrap()[0];
    let down = model.wire_node("down", linear(6, 8), &[embedded]).unwrap()[0];
    let up = model.wire_node("up", linear(8, 6).with_residual(), &[down, embedded]).unwrap()[0];
    model.select_output_outlets(&[up]).unwrap();
    model.set_outlet_label(up, "hidden".to_owned()).unwrap();
    model
}

fn run(model: TypedModel) -> Vec<f32> {
    let ids = tensor2(&[[1i64, 19, 4], [0, 7, 7]]);
    let outputs = Plan::new(model).unwrap().run(vec![ids]).unwrap();
    outputs[0].try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec()
}

fn formats(model: &TypedModel) -> BTreeMap<String, WeightFormat> {
    model.nodes().iter().filter_map(|node| Some((node.name.clone(), format_of(node)?))).collect()
}

#[test]
fn named_layers_change_their_format_and_keep_their_names() {
    let before = model();
    assert_eq!(layers(&before), ["words", "down", "up"]);
    let wanted = BTreeMap::from([("words".to_owned(), WeightFormat::Int8), ("up".to_owned(), WeightFormat::Bf16)]);
    let after = Quantize(wanted.clone()).applied(&before).unwrap();
    assert_eq!(formats(&after), [("down".to_owned(), WeightFormat::F32)].into_iter().chain(wanted).collect());
    assert_eq!(after.outlet_label(after.outputs[0]), Some("hidden"));
    assert_eq!(after.nodes().len(), before.nodes().len());
}

#[test]
fn outputs_stay_near_those_of_the_source() {
    let expected = run(model());
    let formats =
        [(WeightFormat::F16, 4e-3), (WeightFormat::Bf16, 3e-2), (WeightFormat::Int8, 1e-1), (WeightFormat::Q4, 1.0)];
    for (format, tolerance) in formats {
        let all = Quantize(layers(&model()).into_iter().map(|layer| (layer, format)).collect());
        let got = run(all.applied(&model()).unwrap());
        let largest = expected.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(largest > 0.0 && largest < tolerance, "{format:?}: {largest}");
    }
}

#[test]
fn a_table_has_no_bf16_and_gets_f16() {
    let all = Quantize([("words".to_owned(), WeightFormat::Bf16)].into());
    assert_eq!(formats(&all.applied(&model()).unwrap())["words"], WeightFormat::F16);
}

#[test]
fn a_layer_with_one_great_weight_costs_more_than_another() {
    let mut model = model();
    let mut values = linear(8, 8).dense();
    values.chunks_mut(8).for_each(|row| row[3] = 40.0);
    let spiky = Linear::new(&values, 8, 8, None).unwrap();
    let hidden = model.outputs[0];
    let ids = model.inputs[0];
    let spiky = model.wire_node("spiky", spiky, &[hidden]).unwrap()[0];
    let even = model.wire_node("even", linear(8, 8), &[spiky]).unwrap()[0];
    let pooled = model.wire_node("pool", Pool { pooling: Pooling::Mean }, &[even, ids]).unwrap()[0];
    model.select_output_outlets(&[pooled]).unwrap();

    let given = Given { inputs: vec![vec![tensor2(&[[1i64, 19, 4], [5, 7, 7]])]] };
    let layers = layers(&model);
    let (counted, done) = (std::cell::Cell::new(0), layers.len());
    let errors = sensitivity::errors(&model, &layers, WeightFormat::Int8, &given, || counted.update(|n| n + 1));
    let errors = errors.unwrap();
    assert_eq!((errors.len(), counted.get()), (done, done));
    assert!(errors.iter().all(|(layer, error)| layer == "spiky" || *error < errors["spiky"]), "{errors:?}");
}

/// Rows of 8, normed, to two layers in int8 with the same factors; `residual` tells whether the norm's rows are added too.
fn normed(residual: bool) -> TypedModel {
    let mut model = TypedModel::default();
    let rows = model.symbols.sym("N").to_dim();
    let x = model.add_source("x", f32::fact([rows, 8.to_dim()])).unwrap();
    let norm = Norm::layer(&[1.5; 8], Some(&[0.25; 8]), 1e-5).unwrap();
    let norm = model.wire_node("norm", norm, &[x]).unwrap()[0];
    let factors: Vec<f32> = (1..=8).map(|i| i as f32 / 4.0).collect();
    let mut outputs = Vec::new();
    for name in ["left", "right"] {
        let layer = linear(8, 8).with_format(WeightFormat::Int8).unwrap().with_factors(&factors).unwrap();
        let (layer, inputs) = if residual { (layer.with_residual(), vec![norm; 2]) } else { (layer, vec![norm]) };
        outputs.push(model.wire_node(name, layer, &inputs).unwrap()[0]);
    }
    model.select_output_outlets(&outputs).unwrap();
    model
}

#[test]
fn a_norm_takes_the_factors_that_all_its_readers_have() {
    let numbers = |model: &TypedModel| {
        let x: Vec<f32> = (0..40).map(|i| ((i * 29 % 31) as f32).sin()).collect();
        let x = tensor1(&x).into_shape(&[5, 8]).unwrap();
        Given { inputs: vec![vec![x]] }.outputs(model).unwrap().remove(0)
    };
    let layers = |model: &TypedModel| {
        let factors = |node: &TypedNode| node.op_as::<Linear>().map(|linear| linear.factors().len());
        model.nodes().iter().filter_map(factors).collect::<Vec<_>>()
    };
    let before = normed(false);
    let after = smooth::absorb(&before).unwrap();
    assert_eq!((layers(&before), layers(&after)), (vec![8, 8], vec![0, 0]));
    for (before, after) in numbers(&before).iter().zip(numbers(&after)) {
        assert!((before - after).abs() < 0.05, "{before} {after}");
    }
    assert_eq!(layers(&smooth::absorb(&normed(true)).unwrap()), [8, 8]);
}

#[test]
fn fitted_layers_are_nearer_than_those_rounded_to_nearest() {
    let model = model();
    let given = Given { inputs: (0..64i64).map(|i| vec![tensor2(&[[i % 20, i * 7 % 20, i * 3 % 20]])]).collect() };
    let reference = given.outputs(&model).unwrap();
    let error = |scheme: Scheme| {
        let (settings, none, progress) = (QuantizeSettings::default(), BTreeMap::new(), Progress::start("quantizing"));
        let (calibration, settings) = (&given, &settings);
        let quantizer =
            Quantizer { scheme, settings, given: &none, layer_errors: true, calibration, progress: &progress };
        let (quantized, account) = quantizer.apply(&model).unwrap().unwrap();
        assert_eq!(account.layers.len(), 3);
        given.distance(&reference, &given.outputs(&quantized).unwrap())
    };
    let [int8, fixed, nearest, aware, fitted] =
        [Scheme::Int8, Scheme::Int8Static, Scheme::Q4, Scheme::Q4Awq, Scheme::Q4Calibrated].map(error);
    assert!(int8 < 0.1 * nearest && fixed < 0.5 * nearest, "{int8} {fixed} {nearest}");
    assert!(fitted < 0.9 * nearest && aware <= 1.05 * nearest, "{fitted} {aware} {nearest}");
}
