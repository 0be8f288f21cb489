//! `emberlite_opaque`: its input, about which tract is to conclude nothing.

use tract_nnef::internal::*;

const NAME: &str = "emberlite_opaque";

/// Gives its input back, any type and shape, without what tract knows of its elements beyond those.
///
/// tract 0.23.9 follows the coordinates that a `Range` of symbolic length holds, and splits a `select` whose condition
/// compares them. Where the condition compares two axes, as a causal mask does, it takes one of them for a constant,
/// and the graph silently computes something else. Behind this operator there are no coordinates to follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opaque;

impl Op for Opaque {
    fn name(&self) -> StaticName {
        "Opaque".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Opaque {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        Ok(inputs)
    }
}

impl TypedOp for Opaque {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let [input] = inputs else { bail!("expected one input, got {}", inputs.len()) };
        Ok(tvec!(input.datum_type.fact(input.shape.iter())))
    }

    fn axes_mapping(&self, inputs: &[&TypedFact], outputs: &[&TypedFact]) -> TractResult<AxesMapping> {
        AxesMapping::natural(inputs, outputs)
    }

    as_op!();
}

pub(super) fn register(registry: &mut Registry) {
    registry.register_dumper(dump);
    registry.register_primitive(
        NAME,
        &[TypeName::Any.tensor().named("input")],
        &[("output", TypeName::Any.tensor())],
        load,
    );
}

fn dump(ast: &mut IntoAst<'_>, node: &TypedNode, _op: &Opaque) -> TractResult<Option<Arc<RValue>>> {
    Ok(Some(invocation(NAME, &[ast.mapping[&node.inputs[0]].clone()], &[])))
}

fn load(builder: &mut ModelBuilder<'_>, invocation: &ResolvedInvocation<'_>) -> TractResult<Value> {
    let input: OutletId = invocation.named_arg_as(builder, "input")?;
    builder.wire(Opaque, &[input])
}
