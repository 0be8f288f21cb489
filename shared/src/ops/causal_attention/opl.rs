//! Attention over a cache in tract-OPL.

use tract_nnef::internal::*;

use super::CausalAttention;
use crate::ops::weights::Weights;

const NAME: &str = "emberlite_causal_attention";

pub(crate) fn register(registry: &mut Registry) {
    registry.register_dumper(dump);
    registry.register_primitive(
        NAME,
        &[
            TypeName::Scalar.tensor().named("input").doc("queries, keys and values side by side"),
            TypeName::String.named("terms").doc("the label of the frequencies and the gains of queries and keys"),
            TypeName::Integer.named("layer"),
            TypeName::Integer.named("heads"),
            TypeName::Integer.named("key_heads"),
            TypeName::Integer.named("head_width"),
            TypeName::Integer.named("frequencies").doc("how many of the terms are frequencies"),
            TypeName::Scalar.named("scale"),
            TypeName::Integer.named("window").default(0).doc("how many keys a query sees, 0 for no bound"),
            TypeName::Scalar.named("softcap").default(0.0).doc("0 for none"),
            TypeName::Scalar.named("magnitude").default(1.0).doc("multiplies cosines and sines"),
            TypeName::Logical.named("query_norm").default(false),
            TypeName::Logical.named("key_norm").default(false),
            TypeName::Scalar.named("epsilon").default(0.0).doc("of the norms"),
        ],
        &[("output", TypeName::Scalar.tensor())],
        load,
    );
}

fn dump(ast: &mut IntoAst<'_>, node: &TypedNode, op: &CausalAttention) -> TractResult<Option<Arc<RValue>>> {
    let terms = op.terms.dump(ast, format!("{}.terms", node.name))?;
    Ok(Some(invocation(
        NAME,
        &[ast.mapping[&node.inputs[0]].clone()],
        &[
            ("terms", terms),
            ("layer", numeric(op.layer)),
            ("heads", numeric(op.heads)),
            ("key_heads", numeric(op.key_heads)),
            ("head_width", numeric(op.head_width)),
            ("frequencies", numeric(op.frequencies)),
            ("scale", numeric(op.scale)),
            ("window", numeric(op.window.unwrap_or(0))),
            ("softcap", numeric(op.softcap.unwrap_or(0.0))),
            ("magnitude", numeric(op.magnitude)),
            ("query_norm", logical(op.query_norm)),
            ("key_norm", logical(op.key_norm)),
            ("epsilon", numeric(op.epsilon)),
        ],
    )))
}

fn load(builder: &mut ModelBuilder<'_>, invocation: &ResolvedInvocation<'_>) -> TractResult<Value> {
    let input: OutletId = invocation.named_arg_as(builder, "input")?;
    let label: String = invocation.named_arg_as(builder, "terms")?;
    let window: usize = invocation.named_arg_as(builder, "window")?;
    let softcap: f32 = invocation.named_arg_as(builder, "softcap")?;
    let op = CausalAttention {
        layer: invocation.named_arg_as(builder, "layer")?,
        heads: invocation.named_arg_as(builder, "heads")?,
        key_heads: invocation.named_arg_as(builder, "key_heads")?,
        head_width: invocation.named_arg_as(builder, "head_width")?,
        scale: invocation.named_arg_as(builder, "scale")?,
        window: Some(window).filter(|window| *window > 0),
        softcap: Some(softcap).filter(|cap| *cap != 0.0),
        magnitude: invocation.named_arg_as(builder, "magnitude")?,
        epsilon: invocation.named_arg_as(builder, "epsilon")?,
        frequencies: invocation.named_arg_as(builder, "frequencies")?,
        query_norm: invocation.named_arg_as(builder, "query_norm")?,
        key_norm: invocation.named_arg_as(builder, "key_norm")?,
        terms: Weights::load(builder, &label)?,
    };
    op.check().map_err(|reason| format_err!("{label:?} makes no attention: {reason}"))?;
    builder.wire(op, &[input])
}
