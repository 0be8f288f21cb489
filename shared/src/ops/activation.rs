//! `emberlite_activate` and `emberlite_gate`: activation functions, alone and as gates.

pub use emberlite_kernels::Activation;
use emberlite_kernels::{Isa, activate, gate};
use tract_nnef::internal::*;
use tract_nnef::tract_core::ops::nn::GeluExact;

use super::output::{filled, floats};

const NAMES: [(Activation, &str); 7] = [
    (Activation::Gelu, "gelu"),
    (Activation::GeluTanh, "gelu_tanh"),
    (Activation::QuickGelu, "quick_gelu"),
    (Activation::Relu, "relu"),
    (Activation::Silu, "silu"),
    (Activation::Tanh, "tanh"),
    (Activation::Sigmoid, "sigmoid"),
];

/// The name of an activation in tract-OPL.
pub(super) fn name(activation: Activation) -> &'static str {
    NAMES.iter().find(|(of, _)| *of == activation).map_or("", |(_, name)| name)
}

/// The activation with this name; none for the empty one.
pub(super) fn from_name(name: &str) -> TractResult<Option<Activation>> {
    if name.is_empty() {
        return Ok(None);
    }
    let found = NAMES.iter().find(|(_, known)| *known == name);
    found.map(|(activation, _)| Some(*activation)).with_context(|| format!("no activation is called {name:?}"))
}

/// An activation of every element. Input and output: `f32` of any shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activate(pub Activation);

/// A gate: `activation(left half) * right half` of every row.
///
/// Input: `f32` `[.., 2 * width]`; output: `f32` `[.., width]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gated(pub Activation);

impl Op for Activate {
    fn name(&self) -> StaticName {
        "Activate".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Activate {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut tensor = args_1!(inputs).into_tensor();
        activate(Isa::current(), self.0, tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?);
        Ok(tvec!(tensor.into_tvalue()))
    }
}

impl TypedOp for Activate {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let [input] = inputs else { bail!("expected one input, got {}", inputs.len()) };
        ensure!(input.datum_type == f32::datum_type(), "an activation takes f32, got {:?}", input.datum_type);
        Ok(tvec!(input.without_value()))
    }

    as_op!();
}

impl Op for Gated {
    fn name(&self) -> StaticName {
        "Gate".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Gated {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let mut shape: TVec<usize> = input.shape().into();
        let last = shape.last_mut().context("a gate takes rows")?;
        ensure!(*last > 0 && last.is_multiple_of(2), "a gate takes rows of an even length, got {last}");
        *last /= 2;
        let width = *last;
        let x = floats(&input)?;
        filled(&shape, |out| gate(Isa::current(), self.0, x, width, out))
    }
}

impl TypedOp for Gated {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let [input] = inputs else { bail!("expected one input, got {}", inputs.len()) };
        ensure!(input.datum_type == f32::datum_type(), "a gate takes f32, got {:?}", input.datum_type);
        let mut shape: TVec<TDim> = input.shape.iter().cloned().collect();
        let last = shape.last_mut().context("a gate takes rows")?;
        let width = last.to_usize().context("a gate takes rows of a fixed length")?;
        ensure!(width > 0 && width.is_multiple_of(2), "a gate takes rows of an even length, got {width}");
        *last = (width / 2).to_dim();
        Ok(tvec!(f32::fact(shape)))
    }

    as_op!();
}

const ACTIVATE: &str = "emberlite_activate";
const GATE: &str = "emberlite_gate";

pub(super) fn register(registry: &mut Registry) {
    registry.register_unit_element_wise("emberlite_gelu", &GeluExact {});
    let parameters = [TypeName::Scalar.tensor().named("input"), TypeName::String.named("activation")];
    let results = [("output", TypeName::Scalar.tensor())];
    registry
        .register_dumper(|ast: &mut IntoAst<'_>, node: &TypedNode, op: &Activate| Ok(dump(ast, node, ACTIVATE, op.0)));
    registry.register_primitive(ACTIVATE, &parameters, &results, |builder, invocation| {
        let (input, activation) = arguments(builder, invocation)?;
        builder.wire(Activate(activation), &[input])
    });
    registry.register_dumper(|ast: &mut IntoAst<'_>, node: &TypedNode, op: &Gated| Ok(dump(ast, node, GATE, op.0)));
    registry.register_primitive(GATE, &parameters, &results, |builder, invocation| {
        let (input, activation) = arguments(builder, invocation)?;
        builder.wire(Gated(activation), &[input])
    });
}

fn dump(ast: &IntoAst<'_>, node: &TypedNode, primitive: &str, activation: Activation) -> Option<Arc<RValue>> {
    let input = ast.mapping[&node.inputs[0]].clone();
    Some(invocation(primitive, &[input], &[("activation", string(name(activation)))]))
}

fn arguments(
    builder: &mut ModelBuilder<'_>,
    invocation: &ResolvedInvocation<'_>,
) -> TractResult<(OutletId, Activation)> {
    let input = invocation.named_arg_as(builder, "input")?;
    let name: String = invocation.named_arg_as(builder, "activation")?;
    Ok((input, from_name(&name)?.context("an activation without a name")?))
}
