//! `emberlite_linear`: a linear layer with its bias, activation and residual, its weights in one of several formats.

pub use emberlite_kernels::linear::Range;
use emberlite_kernels::linear::{self as kernel, GROUP, blocks, pack};
use emberlite_kernels::{Activation, Isa};
use serde::{Deserialize, Serialize};
use tract_nnef::internal::*;

mod narrow;
mod opl;
mod sparse;

use super::output::{filled, floats};
use super::weights::Weights;

pub use emberlite_kernels::linear::PANEL;
pub(super) use opl::register;
use sparse::Index;

/// How a layer's weights are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightFormat {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// bfloat16.
    Bf16,
    /// Whole numbers from -127 to 127, with a scale for each output; activations are quantized on the fly.
    Int8,
    /// Whole numbers from -8 to 7, with a scale for each 32 inputs of an output, as in Q4_0; activations are quantized on
    /// the fly.
    Q4,
}

/// Weights of 4 bits, as they are before they are laid out: `(value - 8) * scale`.
#[derive(Clone, Debug, PartialEq)]
pub struct Q4Blocks {
    /// The length of a row of the result.
    pub outputs: usize,
    /// The length of a row of `x`.
    pub inputs: usize,
    /// `[outputs, inputs / 32]`, rounded up.
    pub scales: Vec<f16>,
    /// `[outputs, inputs]`, each from 0 to 15.
    pub values: Vec<u8>,
}

/// `activation(x W^T + b) + residual`.
///
/// Inputs: `x`, `f32` `[.., inputs]`; with a residual it too, `f32` `[.., outputs]`. Output: `f32` `[.., outputs]`.
///
/// In the package the weights lie in panels of 48 outputs, padded with zeros: `f32`, `f16` and `bf16` (as `U16`) as
/// `[panels, inputs, 48]`, `int8` as `[panels, inputs / 4, 48, 4]`. `q4` has panels of 16 outputs, `u8`
/// `[panels, inputs / 32, 288]`, which [`emberlite_kernels::linear::blocks`] explains. The terms are `f32` rows padded to
/// whole panels of 48: the bias, and for `int8` before it each output's scale and the sum of its whole numbers. A layer
/// whose panels of 48 would be padding in a quarter or more has its weights without it, as `[inputs, outputs]`
/// (`int8`: `[inputs / 4, outputs, 4]`), and they are laid out when they are read. A layer of whole numbers may have
/// factors, `f32` `[inputs]`, that its inputs are multiplied with before they are quantized; one of `int8` a range that
/// they are quantized over.
///
/// An `int8` layer may have only those blocks of 16 outputs and 4 inputs in which a weight is not zero, `[blocks, 16, 4]`;
/// `u16` beside them tell how many each panel of 16 outputs has, and then which four inputs each meets.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    inputs: usize,
    outputs: usize,
    format: WeightFormat,
    weights: Weights,
    /// Of an int8 layer without its empty blocks.
    index: Option<Index>,
    terms: Weights,
    factors: Option<Weights>,
    range: Option<Range>,
    activation: Option<Activation>,
    residual: bool,
}

impl Eq for Linear {}

impl Linear {
    /// A layer in single precision; `weight` is `[outputs, inputs]` in row-major order.
    ///
    /// # Errors
    /// A length that is not what the sizes say.
    pub fn new(weight: &[f32], outputs: usize, inputs: usize, bias: Option<&[f32]>) -> Result<Self, String> {
        if inputs == 0 || outputs == 0 || Some(weight.len()) != inputs.checked_mul(outputs) {
            return Err(format!("{} weights are no layer from {inputs} to {outputs}", weight.len()));
        }
        let panels = outputs.div_ceil(PANEL);
        Ok(Self {
            inputs,
            outputs,
            format: WeightFormat::F32,
            weights: Weights::owned(&[panels, inputs, PANEL], pack::float(weight, inputs, outputs)),
            index: None,
            terms: plain_terms(bias, outputs)?,
            factors: None,
            range: None,
            activation: None,
            residual: false,
        })
    }

    /// A layer of 4-bit weights that were rounded elsewhere.
    ///
    /// # Errors
    /// A length that is not what the sizes say, or a value beyond 15.
    pub fn from_q4(given: &Q4Blocks, bias: Option<&[f32]>) -> Result<Self, String> {
        let Q4Blocks { outputs, inputs, scales, values } = given;
        let (outputs, inputs) = (*outputs, *inputs);
        let count = outputs.checked_mul(inputs.div_ceil(blocks::BLOCK));
        let fits = inputs > 0 && Some(values.len()) == outputs.checked_mul(inputs) && Some(scales.len()) == count;
        if !fits || outputs == 0 {
            let got = (values.len(), scales.len());
            return Err(format!("{} values and {} scales are no layer from {inputs} to {outputs}", got.0, got.1));
        }
        if let Some(value) = values.iter().find(|value| **value > 15) {
            return Err(format!("expected values of 4 bits, got {value}"));
        }
        let rounded = blocks::Rounded { scales: scales.clone(), values: values.clone() };
        Ok(Self {
            inputs,
            outputs,
            format: WeightFormat::Q4,
            weights: q4_weights(&rounded, inputs, outputs),
            index: None,
            terms: plain_terms(bias, outputs)?,
            factors: None,
            range: None,
            activation: None,
            residual: false,
        })
    }

    /// The 4-bit weights as they were rounded, of a layer that has such.
    pub fn q4_blocks(&self) -> Option<Q4Blocks> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let panels = self.weights.values::<u8>();
        (self.format == WeightFormat::Q4).then(|| {
            let blocks::Rounded { scales, values } = blocks::unpack(panels, inputs, outputs);
            Q4Blocks { outputs, inputs, scales, values }
        })
    }

    /// The same layer with an activation.
    pub fn with_activation(self, activation: Activation) -> Self {
        Self { activation: Some(activation), ..self }
    }

    /// The same layer with a residual, its second input.
    pub fn with_residual(self) -> Self {
        Self { residual: true, ..self }
    }

    /// The same layer over inputs that are multiplied with these first.
    ///
    /// # Errors
    /// A layer of floating-point weights, which can hold them by themselves, or factors that are not one for each input.
    pub fn with_factors(self, factors: &[f32]) -> Result<Self, String> {
        if !matches!(self.format, WeightFormat::Int8 | WeightFormat::Q4) {
            return Err(format!(
                "a layer in {:?} has no factors: its weights can be multiplied with them",
                self.format
            ));
        }
        let given = match self.factors() {
            [] => factors.to_vec(),
            own => own.iter().zip(factors).map(|(a, b)| a * b).collect(),
        };
        if factors.len() != self.inputs || given.iter().any(|factor| !factor.is_finite()) {
            return Err(format!("{} numbers are no factors of {} inputs", factors.len(), self.inputs));
        }
        Ok(Self { factors: Some(Weights::owned(&[given.len()], given)), ..self })
    }

    /// The same weights over inputs that come multiplied with the factors already.
    pub fn without_factors(self) -> Self {
        Self { factors: None, ..self }
    }

    /// What the layer makes of rows by itself: without a residual.
    ///
    /// # Panics
    /// If `x` is not whole rows.
    pub fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len() / self.inputs * self.outputs];
        self.kernel().run(Isa::current(), x, None, &mut out);
        out
    }

    /// The same layer with its inputs, after the factors, quantized over a fixed range.
    ///
    /// # Errors
    /// A layer that is not in int8, whose inputs only are quantized so.
    pub fn with_range(self, range: Range) -> Result<Self, String> {
        if self.format != WeightFormat::Int8 {
            return Err(format!("a layer in {:?} has no fixed range", self.format));
        }
        Ok(Self { range: Some(range), ..self })
    }

    /// The same weights with the activation and the residual that another layer has.
    pub fn like(self, other: &Self) -> Self {
        Self { activation: other.activation, residual: other.residual, ..self }
    }

    /// The same layer with its weights in another format, made from its present ones: without factors and range.
    ///
    /// # Errors
    /// A layer with too many inputs for int8.
    pub fn with_format(self, format: WeightFormat) -> Result<Self, String> {
        if format == self.format {
            return Ok(self);
        }
        let (inputs, outputs) = (self.inputs, self.outputs);
        let dense = self.dense();
        let panels = outputs.div_ceil(PANEL);
        let shape = [panels, inputs, PANEL];
        let floats = || pack::float(&dense, inputs, outputs);
        let bits = |bits: fn(f32) -> u16| floats().into_iter().map(bits).collect::<Vec<_>>();
        let bias = pack::padded(self.bias());
        let plain = || Weights::owned(&[1, panels * PANEL], bias.clone());
        let (weights, terms) = match format {
            WeightFormat::F32 => (Weights::owned(&shape, floats()), plain()),
            WeightFormat::F16 => {
                let values = floats().into_iter().map(f16::from_f32).map(f16::to_bits).collect();
                (Weights::halves(&shape, values), plain())
            }
            WeightFormat::Bf16 => (Weights::owned(&shape, bits(|x| half::bf16::from_f32(x).to_bits())), plain()),
            WeightFormat::Int8 => {
                if inputs > kernel::MAX_INT8_INPUTS {
                    return Err(format!("a layer of {inputs} inputs is too wide for int8"));
                }
                let packed = pack::int8(&dense, inputs, outputs);
                let terms = [packed.scales, packed.sums, bias].concat();
                let shape = [panels, inputs.div_ceil(GROUP), PANEL, GROUP];
                (Weights::owned(&shape, packed.values), Weights::owned(&[3, panels * PANEL], terms))
            }
            WeightFormat::Q4 => (q4_weights(&blocks::round(&dense, inputs), inputs, outputs), plain()),
        };
        Ok(Self { format, weights, index: None, terms, factors: None, range: None, ..self })
    }

    /// The weights as numbers, `[outputs, inputs]` in row-major order, with the factors in them.
    pub fn dense(&self) -> Vec<f32> {
        let mut dense = self.stored();
        if let factors @ [_, ..] = self.factors() {
            dense.chunks_exact_mut(self.inputs).for_each(|row| row.iter_mut().zip(factors).for_each(|(w, f)| *w *= f));
        }
        dense
    }

    /// The weights that inputs are multiplied with which have their factors.
    fn stored(&self) -> Vec<f32> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let widened = |widen: fn(u16) -> f32| self.weights.bits().iter().map(|bits| widen(*bits)).collect::<Vec<_>>();
        match self.format {
            WeightFormat::F32 => pack::dense(self.weights.values(), inputs, outputs),
            WeightFormat::F16 => pack::dense(&widened(|bits| f16::from_bits(bits).to_f32()), inputs, outputs),
            WeightFormat::Bf16 => pack::dense(&widened(|bits| half::bf16::from_bits(bits).to_f32()), inputs, outputs),
            WeightFormat::Int8 => pack::dense_int8(self.panels().values(), self.term(0), inputs, outputs),
            WeightFormat::Q4 => blocks::dense(self.weights.values(), inputs, outputs),
        }
    }

    /// The bias, a number for each output.
    pub fn bias(&self) -> &[f32] {
        &self.padded_bias()[..self.outputs]
    }

    /// The length of a row of `x`.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The length of a row of the result.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// How the weights are written down.
    pub fn format(&self) -> WeightFormat {
        self.format
    }

    /// What each input is multiplied with before it is quantized; empty for nothing.
    pub fn factors(&self) -> &[f32] {
        self.factors.as_ref().map_or(&[], |factors| factors.values())
    }

    /// The range that inputs are quantized over, where it is fixed.
    pub fn range(&self) -> Option<Range> {
        self.range
    }

    /// The activation.
    pub fn activation(&self) -> Option<Activation> {
        self.activation
    }

    /// Whether a residual is added.
    pub fn has_residual(&self) -> bool {
        self.residual
    }

    /// How many bytes the weights and terms have.
    pub fn size_bytes(&self) -> usize {
        let index = self.index.as_ref().map_or(0, |index| index.list().bytes().len());
        self.weights.bytes().len() + index + self.terms.bytes().len() + size_of_val(self.factors())
    }

    fn term(&self, row: usize) -> &[f32] {
        term(&self.terms, self.outputs, row)
    }

    fn padded_bias(&self) -> &[f32] {
        self.term(if self.format == WeightFormat::Int8 { 2 } else { 0 })
    }

    fn kernel(&self) -> kernel::Linear<'_> {
        let weights = match &self.index {
            None => kernel_weights(self.format, &self.weights, &self.terms, self.outputs),
            Some(index) => kernel::Weights::SparseInt8 {
                blocks: index.blocks(&self.weights),
                scales: self.term(0),
                sums: self.term(1),
            },
        };
        kernel::Linear {
            inputs: self.inputs,
            outputs: self.outputs,
            weights,
            bias: self.padded_bias(),
            activation: self.activation,
            factors: self.factors(),
            range: self.range,
        }
    }
}

fn term(terms: &Weights, outputs: usize, row: usize) -> &[f32] {
    let padded = outputs.next_multiple_of(PANEL);
    terms.values().get(row * padded..(row + 1) * padded).unwrap_or_default()
}

/// The terms of a layer whose only one is its bias.
fn plain_terms(bias: Option<&[f32]>, outputs: usize) -> Result<Weights, String> {
    let padded = outputs.next_multiple_of(PANEL);
    match bias {
        None => Ok(Weights::owned(&[1, padded], vec![0f32; padded])),
        Some(bias) if bias.len() == outputs => Ok(Weights::owned(&[1, padded], pack::padded(bias))),
        Some(bias) => Err(format!("the bias has {} numbers for {outputs} outputs", bias.len())),
    }
}

fn q4_weights(rounded: &blocks::Rounded, inputs: usize, outputs: usize) -> Weights {
    let shape = [outputs.div_ceil(blocks::PANEL), inputs.div_ceil(blocks::BLOCK), blocks::BYTES];
    Weights::owned(&shape, blocks::pack(rounded, inputs, outputs))
}

/// A layer's weights as the kernels take them.
pub(super) fn kernel_weights<'a>(
    format: WeightFormat,
    weights: &'a Weights,
    terms: &'a Weights,
    outputs: usize,
) -> kernel::Weights<'a> {
    match format {
        WeightFormat::F32 => kernel::Weights::F32(weights.values()),
        WeightFormat::F16 => kernel::Weights::F16(weights.bits()),
        WeightFormat::Bf16 => kernel::Weights::Bf16(weights.bits()),
        WeightFormat::Int8 => kernel::Weights::Int8 {
            values: weights.values(),
            scales: term(terms, outputs, 0),
            sums: term(terms, outputs, 1),
        },
        WeightFormat::Q4 => kernel::Weights::Q4(weights.values()),
    }
}

impl Op for Linear {
    fn name(&self) -> StaticName {
        "Linear".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        let blocks = self.blocks().map(|(left, all)| format!(", {left} of {all} blocks")).unwrap_or_default();
        Ok(vec![format!("{} to {}, {:?}{blocks}", self.inputs, self.outputs, self.format)])
    }

    op_as_typed_op!();
}

impl EvalOp for Linear {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let x = inputs.first().context("no input")?;
        let mut shape: TVec<usize> = x.shape().into();
        ensure!(shape.last() == Some(&self.inputs), "expected rows of {}, got {:?}", self.inputs, x.shape());
        if let Some(last) = shape.last_mut() {
            *last = self.outputs;
        }
        let residual = match (self.residual, inputs.get(1)) {
            (true, Some(residual)) if residual.shape() == &*shape => Some(floats(residual)?),
            (true, residual) => bail!("expected a residual {shape:?}, got {:?}", residual.map(|r| r.shape())),
            (false, _) => None,
        };
        let x = floats(x)?;
        filled(&shape, |out| self.kernel().run(Isa::current(), x, residual, out))
    }
}

impl TypedOp for Linear {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs.len() == 1 + usize::from(self.residual), "got {} inputs", inputs.len());
        ensure!(
            inputs.iter().all(|input| input.datum_type == f32::datum_type()),
            "a linear layer takes f32: {inputs:?}"
        );
        let mut shape: TVec<TDim> = inputs[0].shape.iter().cloned().collect();
        let last = shape.last_mut().context("a linear layer takes rows, got a number")?;
        ensure!(*last == self.inputs.to_dim(), "expected rows of {}, got {last}", self.inputs);
        *last = self.outputs.to_dim();
        Ok(tvec!(f32::fact(shape)))
    }

    as_op!();
}
