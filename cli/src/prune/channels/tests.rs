//! Channels of small convolutional networks.

use emberlite::engine::Plan;
use emberlite::ops::Activation;
use tract_core::ops::array::TypedConcat;
use tract_core::ops::change_axes::AxisOp;
use tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, PaddingSpec, PoolSpec};
use tract_core::ops::einsum::EinSum;
use tract_core::ops::math::{add, max};
use tract_core::ops::nn::{DataFormat, Reduce, Reducer};

use super::super::{Context, Method, Outcome, Part, Step};
use super::*;
use crate::calibrate::Calibration;
use crate::progress::Progress;

/// Images of two channels.
struct Images {
    source: TypedModel,
    images: Vec<Tensor>,
}

impl Images {
    fn new(source: &TypedModel) -> Self {
        let mut random = fastrand::Rng::with_seed(9);
        let numbers = |random: &mut fastrand::Rng| (0..4 * 2 * 36).map(|_| random.f32() - 0.5).collect::<Vec<_>>();
        let images = (0..60).map(|_| Tensor::from_shape(&[4, 2, 6, 6], &numbers(&mut random)).unwrap());
        Self { source: source.clone(), images: images.collect() }
    }

    fn given(&self, model: &TypedModel) -> Vec<f32> {
        let plan = Plan::new(model.clone()).unwrap();
        let given = |image: &Tensor| {
            let outputs = plan.run(vec![image.clone()]).unwrap();
            outputs[0].try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec()
        };
        self.images.iter().flat_map(given).collect()
    }

    /// How far a model is from the source, as a part of what that gives.
    fn error(&self, model: &TypedModel) -> f32 {
        let (source, got) = (self.given(&self.source), self.given(model));
        let square = |numbers: &mut dyn Iterator<Item = f32>| numbers.map(|x| x * x).sum::<f32>();
        (square(&mut source.iter().zip(&got).map(|(a, b)| a - b)) / square(&mut source.iter().copied())).sqrt()
    }
}

impl Calibration for Images {
    fn name(&self) -> &str {
        "images"
    }

    fn run(&self, model: &TypedModel, _progress: &Progress) -> Result<()> {
        self.given(model);
        Ok(())
    }

    fn outputs(&self, model: &TypedModel) -> Result<Vec<Vec<f32>>> {
        Ok(vec![self.given(model)])
    }

    fn expected(&self) -> Result<&[Vec<f32>]> {
        Ok(&[])
    }

    fn distance(&self, _expected: &[Vec<f32>], _got: &[Vec<f32>]) -> f64 {
        0.0
    }
}

/// A network in the making, over images `[N, 2, 6, 6]`.
struct Network {
    model: TypedModel,
    random: fastrand::Rng,
}

impl Network {
    fn new() -> (Self, OutletId) {
        let mut model = TypedModel::default();
        let n = model.symbols.sym("N").to_dim();
        let image = model.add_source("image", f32::fact([n, 2.to_dim(), 6.to_dim(), 6.to_dim()])).unwrap();
        (Self { model, random: fastrand::Rng::with_seed(4) }, image)
    }

    fn numbers(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| (self.random.f32() - 0.5) * scale).collect()
    }

    fn wire(&mut self, name: &str, op: impl Into<Box<dyn TypedOp>>, inputs: &[OutletId]) -> OutletId {
        self.model.wire_node(name, op, inputs).unwrap()[0]
    }

    /// A convolution whose later channels do as the first ones do, in part.
    fn conv(&mut self, name: &str, x: OutletId, outputs: usize, groups: usize, distinct: usize) -> OutletId {
        let inputs = self.model.outlet_fact(x).unwrap().shape[1].to_usize().unwrap();
        let mut kernel = self.numbers(outputs * inputs / groups * 9, 0.8);
        let mut bias = self.numbers(outputs, 0.5);
        let row = kernel.len() / outputs;
        for output in distinct..outputs {
            kernel.copy_within(output % distinct * row..(output % distinct + 1) * row, output * row);
            bias[output] = bias[output % distinct];
        }
        let pool_spec = PoolSpec {
            data_format: DataFormat::NCHW,
            kernel_shape: tvec![3, 3],
            padding: PaddingSpec::SameUpper,
            dilations: None,
            strides: None,
            input_channels: inputs,
            output_channels: outputs,
        };
        let kernel = Tensor::from_shape(&[outputs, inputs / groups, 3, 3], &kernel).unwrap();
        let kernel = self.model.add_const(format!("{name}_kernel"), kernel).unwrap();
        let bias = self.model.add_const(format!("{name}_bias"), tensor1(&bias)).unwrap();
        let conv = Conv { pool_spec, kernel_fmt: KernelFormat::OIHW, group: groups, q_params: None };
        self.wire(name, conv, &[x, kernel, bias])
    }

    fn relu(&mut self, x: OutletId) -> OutletId {
        let zero = Tensor::zero::<f32>(&vec![1; self.model.outlet_fact(x).unwrap().rank()]).unwrap();
        let name = format!("relu_{}", x.node);
        let zero = self.model.add_const(format!("{name}_zero"), zero).unwrap();
        self.wire(&name, max(), &[x, zero])
    }

    fn dense(&mut self, name: &str, x: OutletId, outputs: usize) -> OutletId {
        let inputs = self.model.outlet_fact(x).unwrap().shape.last().unwrap().to_usize().unwrap();
        let (weight, bias) = (self.numbers(outputs * inputs, 0.4), self.numbers(outputs, 0.5));
        self.wire(name, Linear::new(&weight, outputs, inputs, Some(&bias)).unwrap(), &[x])
    }

    fn pooled(&mut self, x: OutletId) -> OutletId {
        let channels = self.model.outlet_fact(x).unwrap().shape[1].to_usize().unwrap();
        let pool_spec = PoolSpec {
            data_format: DataFormat::NCHW,
            kernel_shape: tvec![2, 2],
            padding: PaddingSpec::Valid,
            dilations: None,
            strides: Some(tvec![2, 2]),
            input_channels: channels,
            output_channels: channels,
        };
        self.wire("pool", MaxPool { pool_spec, with_index_outputs: None }, &[x])
    }

    fn flat(&mut self, x: OutletId) -> OutletId {
        let shape: TVec<TDim> = self.model.outlet_fact(x).unwrap().shape.iter().skip(1).cloned().collect();
        let count = shape.iter().fold(1.to_dim(), |product, size| product * size);
        self.wire("flat", AxisOp::Reshape(1, shape, tvec![count]), &[x])
    }

    fn finish(mut self, output: OutletId) -> TypedModel {
        self.model.select_output_outlets(&[output]).unwrap();
        self.model
    }
}

fn prune_half(model: &TypedModel, images: &Images, keep: &[&str]) -> Result<Outcome> {
    let keep = keep.iter().map(|name| (*name).to_owned()).collect();
    let step = Step { method: Method::Channels, amount: Part::new(0.5).unwrap(), keep };
    prune(model, &Context { step: &step, calibration: images, progress: &Progress::silent() })
}

fn shape(model: &TypedModel, name: &str) -> Vec<usize> {
    let node = model.node_by_name(name).unwrap();
    let fact = model.outlet_fact(node.id.into()).unwrap();
    fact.shape.iter().skip(1).map(|size| size.to_usize().unwrap()).collect()
}

/// Half of all channels do as others do: they go, and nothing is lost but what damping costs.
fn half_goes_for_nothing(model: &TypedModel, units: usize) -> TypedModel {
    let images = Images::new(model);
    let outcome = prune_half(model, &images, &[]).unwrap();
    assert_eq!((outcome.units, outcome.removed), (units, units / 2));
    let error = images.error(&outcome.model);
    assert!(error < 0.02, "{error}");
    outcome.model
}

#[test]
fn channels_that_do_as_others_do_go_for_nothing() {
    let (mut network, x) = Network::new();
    let a = network.conv("a", x, 8, 1, 4);
    let a = network.relu(a);
    let a = network.pooled(a);
    let b = network.conv("b", a, 6, 1, 3);
    let b = network.relu(b);
    let flat = network.flat(b);
    let y = network.dense("c", flat, 3);
    let pruned = half_goes_for_nothing(&network.finish(y), 14);
    assert_eq!((shape(&pruned, "a"), shape(&pruned, "b")), (vec![4, 6, 6], vec![3, 3, 3]));
    assert_eq!((shape(&pruned, "pool"), shape(&pruned, "flat")), (vec![4, 3, 3], vec![27]));
}

#[test]
fn channels_that_are_added_go_together() {
    let (mut network, x) = Network::new();
    let a = network.conv("a", x, 8, 1, 4);
    let b = network.conv("b", x, 8, 1, 4);
    let sum = network.wire("sum", add(), &[a, b]);
    let sum = network.relu(sum);
    let by_channel = network.conv("by_channel", sum, 8, 8, 4);
    let means = network.wire("means", Reduce::new(tvec![2, 3], Reducer::Sum), &[by_channel]);
    let means = network.flat(means);
    let y = network.dense("c", means, 3);
    let pruned = half_goes_for_nothing(&network.finish(y), 8);
    for name in ["a", "b", "by_channel"] {
        assert_eq!(shape(&pruned, name), [4, 6, 6], "{name}");
    }
}

#[test]
fn what_is_put_side_by_side_is_cut_on_each_side() {
    let (mut network, x) = Network::new();
    let a = network.conv("a", x, 4, 1, 2);
    let b = network.conv("b", x, 8, 1, 4);
    let both = network.wire("both", TypedConcat { axis: 1 }, &[a, x, b]);
    let c = network.relu(both);
    let c = network.conv("c", c, 3, 1, 3);
    let pruned = half_goes_for_nothing(&network.finish(c), 12);
    assert_eq!(shape(&pruned, "both"), [8, 6, 6]);
    assert_eq!(shape(&pruned, "c"), [3, 6, 6]);
}

#[test]
fn a_convolution_of_single_pixels_is_one_whatever_it_is_written_as() {
    let (mut network, x) = Network::new();
    let a = network.conv("a", x, 8, 1, 4);
    let a = network.relu(a);
    let weight = network.numbers(3 * 8, 1.0);
    let weight = network.model.add_const("weight", Tensor::from_shape(&[3, 8], &weight).unwrap()).unwrap();
    let y = network.wire("y", EinSum::new("ok,nkhw->nohw".parse().unwrap(), f32::datum_type()), &[weight, a]);
    let mut pruned = half_goes_for_nothing(&network.finish(y), 8);
    assert_eq!(shape(&pruned, "a"), [4, 6, 6]);
    pruned.declutter().unwrap();
    assert!(pruned.nodes().iter().any(|node| node.op_is::<EinSum>()));
}

#[test]
fn outputs_stay_and_so_does_what_is_kept() {
    let (mut network, x) = Network::new();
    let a = network.conv("a", x, 8, 1, 8);
    let b = network.conv("b", a, 8, 1, 8);
    let model = network.finish(b);
    let images = Images::new(&model);
    let outcome = prune_half(&model, &images, &[]).unwrap();
    assert_eq!(
        (outcome.units, shape(&outcome.model, "a"), shape(&outcome.model, "b")),
        (8, vec![4, 6, 6], vec![8, 6, 6])
    );
    assert_eq!(prune_half(&model, &images, &["a"]).unwrap().units, 0);
    assert!(prune_half(&model, &images, &["c"]).is_err());
}

#[test]
fn what_is_left_is_fitted_to_what_all_gave_and_comes_out_the_same_again() {
    let (mut network, x) = Network::new();
    let a = network.conv("a", x, 12, 1, 12);
    let a = network.relu(a);
    let b = network.conv("b", a, 6, 1, 6);
    let model = network.finish(b);
    let images = Images::new(&model);
    let outcome = prune_half(&model, &images, &[]).unwrap();
    let again = prune_half(&model, &images, &[]).unwrap();
    assert_eq!(images.given(&outcome.model), images.given(&again.model));
    // The same channels, with the weights that the layer had for them.
    let mut cut = outcome.model.clone();
    let kernel = |model: &TypedModel, name: &str| {
        let node = model.node_by_name(name).unwrap();
        let value = model.node(node.inputs[1].node).op_as::<tract_core::ops::konst::Const>().unwrap().val().clone();
        value.to_plain_array_view::<f32>().unwrap().into_owned()
    };
    let (before, after) = (kernel(&model, "a"), kernel(&cut, "a"));
    let axis = tract_core::prelude::tract_ndarray::Axis(0);
    let kept: Vec<usize> =
        after.axis_iter(axis).map(|row| before.axis_iter(axis).position(|other| other == row).unwrap()).collect();
    let plain = kernel(&model, "b").select(tract_core::prelude::tract_ndarray::Axis(1), &kept).into_tensor();
    let constant = cut.node_by_name("b").unwrap().inputs[1].node;
    let constant_op = tract_core::ops::konst::Const::new(plain.into_arc_tensor()).unwrap();
    let patch = TypedModelPatch::replace_single_op(&cut, cut.node(constant), &[], constant_op).unwrap();
    patch.apply(&mut cut).unwrap();
    let (fitted, plain) = (images.error(&outcome.model), images.error(&cut));
    assert!(fitted < 0.8 * plain, "{fitted} {plain}");
}

#[test]
fn an_activation_of_a_layer_is_kept() {
    let (mut network, x) = Network::new();
    let a = network.conv("a", x, 4, 1, 2);
    let flat = network.flat(a);
    let weight = network.numbers(5 * 144, 0.2);
    let layer = Linear::new(&weight, 5, 144, None).unwrap().with_activation(Activation::Tanh);
    let y = network.wire("y", layer, &[flat]);
    let pruned = half_goes_for_nothing(&network.finish(y), 4);
    let layer = pruned.node_by_name("y").unwrap().op_as::<Linear>().unwrap();
    assert_eq!((layer.inputs(), layer.activation()), (72, Some(Activation::Tanh)));
}
