//! `emberlite_norm`: layer norm and RMS norm, with a residual added first.

use emberlite_kernels::{Isa, Norm as Kernel, NormKind};
use tract_nnef::internal::*;
use tract_nnef::ser::array;

use super::output::{filled, floats};
use super::weights::Weights;

const NAME: &str = "emberlite_norm";

/// Layer norm (Ba et al. 2016) or RMS norm (Zhang and Sennrich 2019) over the last axis.
///
/// Inputs: `x`, `f32` `[.., width]`; with a residual it too, of the same shape, added first. Output: of the same shape.
///
/// In the package its terms are `f32` `[1 or 2, width]`: the gain, and the bias if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    kind: NormKind,
    terms: Weights,
    epsilon: f32,
    residual: bool,
}

impl Eq for Norm {}

impl Norm {
    /// Layer norm.
    ///
    /// # Errors
    /// A bias that is not as long as the gain.
    pub fn layer(gain: &[f32], bias: Option<&[f32]>, epsilon: f32) -> Result<Self, String> {
        if let Some(bias) = bias.filter(|bias| bias.len() != gain.len()) {
            return Err(format!("the bias has {} numbers, the gain {}", bias.len(), gain.len()));
        }
        Self::new(NormKind::Layer, gain, bias, epsilon)
    }

    /// RMS norm.
    ///
    /// # Errors
    /// A gain without numbers.
    pub fn rms(gain: &[f32], epsilon: f32) -> Result<Self, String> {
        Self::new(NormKind::Rms, gain, None, epsilon)
    }

    fn new(kind: NormKind, gain: &[f32], bias: Option<&[f32]>, epsilon: f32) -> Result<Self, String> {
        if gain.is_empty() {
            return Err("a norm over nothing".to_owned());
        }
        let shape = [1 + usize::from(bias.is_some()), gain.len()];
        let terms = Weights::owned(&shape, [gain, bias.unwrap_or_default()].concat());
        Ok(Self { kind, terms, epsilon, residual: false })
    }

    /// The same norm with a residual, its second input.
    pub fn with_residual(self) -> Self {
        Self { residual: true, ..self }
    }

    /// The same norm, its results multiplied with a factor each.
    ///
    /// # Errors
    /// Factors that are not as many as a row is long.
    pub fn multiplied(&self, factors: &[f32]) -> Result<Self, String> {
        if factors.len() != self.width() {
            return Err(format!("{} factors for rows of {}", factors.len(), self.width()));
        }
        let terms = self.terms.values::<f32>().iter().zip(factors.iter().cycle()).map(|(term, factor)| term * factor);
        Ok(Self { terms: Weights::owned(self.terms.shape(), terms.collect()), ..self.clone() })
    }

    /// Which norm.
    pub fn kind(&self) -> NormKind {
        self.kind
    }

    /// What keeps the square root away from zero.
    pub fn epsilon(&self) -> f32 {
        self.epsilon
    }

    /// How long a row is.
    pub fn width(&self) -> usize {
        self.terms.shape().last().copied().unwrap_or(0)
    }

    fn kernel(&self) -> Kernel<'_> {
        let (gain, bias) = self.terms.values::<f32>().split_at(self.width());
        Kernel { kind: self.kind, gain, bias: Some(bias).filter(|bias| !bias.is_empty()), epsilon: self.epsilon }
    }
}

impl Op for Norm {
    fn name(&self) -> StaticName {
        "Norm".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Norm {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let x = inputs.first().context("no input")?;
        ensure!(x.shape().last() == Some(&self.width()), "expected rows of {}, got {:?}", self.width(), x.shape());
        let residual = match (self.residual, inputs.get(1)) {
            (true, Some(residual)) if residual.shape() == x.shape() => Some(floats(residual)?),
            (true, residual) => bail!("expected a residual {:?}, got {:?}", x.shape(), residual.map(|r| r.shape())),
            (false, _) => None,
        };
        let numbers = floats(x)?;
        filled(x.shape(), |out| self.kernel().run(Isa::current(), numbers, residual, out))
    }
}

impl TypedOp for Norm {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs.len() == 1 + usize::from(self.residual), "got {} inputs", inputs.len());
        ensure!(inputs.iter().all(|input| input.datum_type == f32::datum_type()), "a norm takes f32: {inputs:?}");
        let last = inputs[0].shape.last().context("a norm takes rows, got a number")?;
        ensure!(*last == self.width().to_dim(), "expected rows of {}, got {last}", self.width());
        Ok(tvec!(inputs[0].without_value()))
    }

    as_op!();
}

pub(super) fn register(registry: &mut Registry) {
    registry.register_dumper(dump);
    registry.register_primitive(
        NAME,
        &[
            TypeName::Scalar.tensor().array().named("inputs").doc("x, and the residual if there is one"),
            TypeName::String.named("terms").doc("the label of gain and bias"),
            TypeName::Scalar.named("epsilon"),
            TypeName::Logical.named("rms").default(false).doc("RMS norm, else layer norm"),
        ],
        &[("output", TypeName::Scalar.tensor())],
        load,
    );
}

fn dump(ast: &mut IntoAst<'_>, node: &TypedNode, op: &Norm) -> TractResult<Option<Arc<RValue>>> {
    let inputs: Vec<RValue> = node.inputs.iter().map(|input| (*ast.mapping[input]).clone()).collect();
    let terms = op.terms.dump(ast, format!("{}.terms", node.name))?;
    let named = [("terms", terms), ("epsilon", numeric(op.epsilon)), ("rms", logical(op.kind == NormKind::Rms))];
    Ok(Some(invocation(NAME, &[array(inputs).into()], &named)))
}

fn load(builder: &mut ModelBuilder<'_>, invocation: &ResolvedInvocation<'_>) -> TractResult<Value> {
    let inputs: TVec<OutletId> = invocation.named_arg_as(builder, "inputs")?;
    let label: String = invocation.named_arg_as(builder, "terms")?;
    let terms = Weights::load(builder, &label)?;
    let fits = terms.datum_type() == f32::datum_type() && matches!(terms.shape(), [1 | 2, width] if *width > 0);
    ensure!(fits, "{label:?} is no gain and bias: {terms:?}");
    let rms: bool = invocation.named_arg_as(builder, "rms")?;
    let op = Norm {
        kind: if rms { NormKind::Rms } else { NormKind::Layer },
        terms,
        epsilon: invocation.named_arg_as(builder, "epsilon")?,
        residual: inputs.len() > 1,
    };
    builder.wire(op, &inputs)
}
