//! What a layer reads for each of its outputs: rows of a tensor, or patches of an image.

use std::sync::Mutex;

use emberlite::ops::Linear;
use tract_core::internal::*;
use tract_core::ops::cnn::{Conv, PoolSpec};
use tract_core::ops::konst::Const;
use tract_core::ops::nn::DataFormat;

/// How many patches of an image are looked at.
const PATCHES: usize = 64;

/// A layer as a product of rows with weights, without activation and residual.
///
/// # Errors
/// A node that is none, or constants of another type.
pub(super) fn layer(model: &TypedModel, node: &TypedNode) -> TractResult<Linear> {
    if let Some(linear) = node.op_as::<Linear>() {
        return Linear::new(&linear.dense(), linear.outputs(), linear.inputs(), Some(linear.bias()))
            .map_err(TractError::msg);
    }
    let numbers = |slot: usize| -> TractResult<&[f32]> {
        let constant = node.inputs.get(slot).and_then(|input| model.node(input.node).op_as::<Const>());
        constant.map(Const::val).context("no constant")?.try_as_plain_ram()?.as_slice::<f32>()
    };
    let outputs = node.op_as::<Conv>().context("no layer")?.output_channels();
    let weight = numbers(1)?;
    Linear::new(weight, outputs, weight.len() / outputs, Some(numbers(2)?)).map_err(TractError::msg)
}

/// Reads the rows that a layer's weights meet, always the same ones for the same number and sizes of tensors before.
#[derive(Debug)]
pub(super) struct Patches {
    /// Of a convolution.
    spec: Option<PoolSpec>,
    random: Mutex<fastrand::Rng>,
}

impl Patches {
    pub(super) fn of(node: &TypedNode) -> Self {
        let spec = node.op_as::<Conv>().map(|conv| conv.pool_spec.clone());
        Self { spec, random: Mutex::new(fastrand::Rng::with_seed(0)) }
    }

    /// The rows of a tensor that the layer reads, one after the other.
    ///
    /// # Errors
    /// A tensor that the layer can't read.
    pub(super) fn rows(&self, x: &Tensor) -> TractResult<Vec<f32>> {
        let numbers = x.try_as_plain_ram()?.as_slice::<f32>()?;
        let Some(spec) = &self.spec else { return Ok(numbers.to_vec()) };
        let shape = spec.data_format.shape(x.shape())?;
        let output = spec.output_shape(x.shape())?;
        let places: usize = output.hw_dims().iter().product();
        let before: Vec<usize> = spec.computed_padding(shape.hw_dims()).iter().map(|dim| dim.pad_before).collect();
        let image = Image { numbers, spec, sizes: shape.hw_dims(), before, channels: *shape.c() };
        let mut random = self.random.lock().map_err(|_| format_err!("a layer's inputs can't be read"))?;
        let mut rows = Vec::new();
        for item in 0..shape.n().copied().unwrap_or(1) {
            for at in 0..places.min(PATCHES) {
                let place = if places > PATCHES { random.usize(..places) } else { at };
                image.patch(item, place, output.hw_dims(), &mut rows);
            }
        }
        Ok(rows)
    }
}

/// Images with their channels.
struct Image<'a> {
    numbers: &'a [f32],
    spec: &'a PoolSpec,
    /// Of the axes of an image.
    sizes: &'a [usize],
    /// How much lies before each of them.
    before: Vec<usize>,
    channels: usize,
}

impl Image<'_> {
    /// Appends what is read for an output: by channel, then by place in the kernel.
    fn patch(&self, item: usize, place: usize, outputs: &[usize], patch: &mut Vec<f32>) {
        let kernel = &self.spec.kernel_shape;
        let corner = coordinates(place, outputs);
        let size: usize = self.sizes.iter().product();
        let last = matches!(self.spec.data_format, DataFormat::NHWC | DataFormat::HWC);
        let (by_channel, by_pixel) = if last { (1, self.channels) } else { (size, 1) };
        let pixels: Vec<Option<usize>> = (0..kernel.iter().product())
            .map(|at| {
                let mut pixel = 0;
                for (axis, step) in coordinates(at, kernel).into_iter().enumerate() {
                    let padded = corner[axis] * self.spec.stride(axis) + step * self.spec.dilation(axis);
                    let inside = padded.checked_sub(self.before[axis]).filter(|at| *at < self.sizes[axis])?;
                    pixel = pixel * self.sizes[axis] + inside;
                }
                Some(pixel)
            })
            .collect();
        for channel in 0..self.channels {
            let start = item * self.channels * size + channel * by_channel;
            patch.extend(pixels.iter().map(|pixel| pixel.map_or(0.0, |pixel| self.numbers[start + pixel * by_pixel])));
        }
    }
}

/// A place in row-major order as one by axis.
fn coordinates(mut place: usize, sizes: &[usize]) -> Vec<usize> {
    let mut coordinates: Vec<usize> = Vec::with_capacity(sizes.len());
    for size in sizes.iter().rev() {
        coordinates.push(place % size);
        place /= size;
    }
    coordinates.reverse();
    coordinates
}

#[cfg(test)]
mod tests {
    use tract_core::ops::cnn::{KernelFormat, PaddingSpec};

    use super::*;

    #[test]
    fn patches_times_weights_are_what_a_convolution_gives() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut numbers = |count: usize| (0..count).map(|_| random.f32() - 0.5).collect::<Vec<_>>();
        let (kernel, bias) = (numbers(5 * 3 * 3 * 2), numbers(5));
        for (format, shape) in [(DataFormat::NCHW, [2, 3, 7, 6]), (DataFormat::NHWC, [2, 7, 6, 3])] {
            let spec = PoolSpec {
                data_format: format,
                kernel_shape: tvec![3, 2],
                padding: PaddingSpec::Explicit(tvec![1, 0], tvec![2, 1]),
                dilations: Some(tvec![1, 2]),
                strides: Some(tvec![2, 1]),
                input_channels: 3,
                output_channels: 5,
            };
            let conv = Conv { pool_spec: spec, kernel_fmt: KernelFormat::OIHW, group: 1, q_params: None };
            let mut model = TypedModel::default();
            let x = model.add_source("x", f32::fact(shape)).unwrap();
            let k = model.add_const("k", Tensor::from_shape(&[5, 3, 3, 2], &kernel).unwrap()).unwrap();
            let b = model.add_const("b", tensor1(&bias)).unwrap();
            let y = model.wire_node("y", conv, &[x, k, b]).unwrap()[0];
            let node = model.node(y.node);
            let image = Tensor::from_shape(&shape, &numbers(2 * 3 * 7 * 6)).unwrap();
            let rows = Patches::of(node).rows(&image).unwrap();
            let rows = Tensor::from_shape(&[rows.len() / 18, 18], &rows).unwrap();
            let linear = layer(&model, node).unwrap();
            let got = linear.eval(&EvalContext::out_of_plan(), tvec![rows.into_tvalue()]).unwrap().remove(0);
            model.select_output_outlets(&[y]).unwrap();
            let expected = model.into_runnable().unwrap().run(tvec![image.into_tvalue()]).unwrap().remove(0);
            let mut expected = expected.into_tensor();
            if format == DataFormat::NCHW {
                expected = expected.permute_axes(&[0, 2, 3, 1]).unwrap();
            }
            let expected = expected.into_shape(got.shape()).unwrap();
            expected.close_enough(&got, Approximation::Close).unwrap();
        }
    }
}
