//! A linear layer in tract-OPL.

use tract_nnef::internal::*;
use tract_nnef::ser::array;

use super::sparse::Index;
use super::{Linear, Range, WeightFormat, narrow};
use crate::ops::activation;
use crate::ops::weights::Weights;

const NAME: &str = "emberlite_linear";

pub(crate) fn register(registry: &mut Registry) {
    registry.register_dumper(dump);
    registry.register_primitive(
        NAME,
        &[
            TypeName::Scalar.tensor().array().named("inputs").doc("x, and the residual if there is one"),
            TypeName::String.named("weights").doc("the label of the weights in panels"),
            TypeName::String.named("terms").doc("the label of scales, sums and bias"),
            TypeName::String.named("format").doc("f32, f16, bf16, int8 or q4"),
            TypeName::Integer.named("from").doc("the length of a row of x"),
            TypeName::Integer.named("to").doc("the length of a row of the result"),
            TypeName::String.named("activation").default("").doc("empty for none"),
            TypeName::String.named("factors").default("").doc("the label of what inputs are multiplied with first"),
            TypeName::String
                .named("index")
                .default("")
                .doc("the label of where blocks belong, if empty ones are left out"),
            TypeName::Scalar.named("low").default(0.0).doc("the least input that is told apart"),
            TypeName::Scalar.named("high").default(0.0).doc("the greatest; 0 as the least for no fixed range"),
        ],
        &[("output", TypeName::Scalar.tensor())],
        load,
    );
}

fn dump(ast: &mut IntoAst<'_>, node: &TypedNode, op: &Linear) -> TractResult<Option<Arc<RValue>>> {
    let inputs: Vec<RValue> = node.inputs.iter().map(|input| (*ast.mapping[input]).clone()).collect();
    let label = format!("{}.weights", node.name);
    let weights = match narrow::cut(&op.weights, op.format, op.outputs)? {
        Some(cut) => op.weights.dump_as(ast, label, cut)?,
        None => op.weights.dump(ast, label)?,
    };
    let terms = op.terms.dump(ast, format!("{}.terms", node.name))?;
    let format = serde_json::to_value(op.format)?;
    let mut named = vec![
        ("weights", weights),
        ("terms", terms),
        ("format", string(format.as_str().unwrap_or_default())),
        ("from", numeric(op.inputs)),
        ("to", numeric(op.outputs)),
        ("activation", string(op.activation.map_or("", activation::name))),
    ];
    if let Some(factors) = &op.factors {
        named.push(("factors", factors.dump(ast, format!("{}.factors", node.name))?));
    }
    if let Some(index) = &op.index {
        named.push(("index", index.list().dump(ast, format!("{}.index", node.name))?));
    }
    if let Some(range) = op.range {
        named.extend([("low", numeric(range.low())), ("high", numeric(range.high()))]);
    }
    Ok(Some(invocation(NAME, &[array(inputs).into()], &named)))
}

fn load(builder: &mut ModelBuilder<'_>, invocation: &ResolvedInvocation<'_>) -> TractResult<Value> {
    let inputs: TVec<OutletId> = invocation.named_arg_as(builder, "inputs")?;
    let weights: String = invocation.named_arg_as(builder, "weights")?;
    let terms: String = invocation.named_arg_as(builder, "terms")?;
    let format: String = invocation.named_arg_as(builder, "format")?;
    let activation: String = invocation.named_arg_as(builder, "activation")?;
    let outputs = invocation.named_arg_as(builder, "to")?;
    let factors: String = invocation.named_arg_as(builder, "factors")?;
    let index: String = invocation.named_arg_as(builder, "index")?;
    let index = match index.as_str() {
        "" => None,
        label => Some(Index::load(Weights::load(builder, label)?, outputs)?),
    };
    let given = Weights::load(builder, &weights)?;
    let ends: [f32; 2] = [invocation.named_arg_as(builder, "low")?, invocation.named_arg_as(builder, "high")?];
    let range = (ends != [0.0; 2]).then(|| Range::new(ends[0], ends[1])).transpose();
    let op = Linear {
        inputs: invocation.named_arg_as(builder, "from")?,
        outputs,
        format: serde_json::from_value(format.into())?,
        weights: if index.is_some() { given } else { narrow::whole(given, outputs)? },
        index,
        terms: Weights::load(builder, &terms)?,
        factors: if factors.is_empty() { None } else { Some(Weights::load(builder, &factors)?) },
        range: range.map_err(|reason| format_err!("{reason}"))?,
        activation: activation::from_name(&activation)?,
        residual: inputs.len() > 1,
    };
    ensure!(op.factors.is_some() != op.factors().is_empty(), "{factors:?} are no factors: expected f32");
    ensure!(
        op.outputs <= 1 << 31 && op.inputs <= 1 << 31 && op.kernel().fits(),
        "the weights {weights:?} are no {op:?}"
    );
    if let Some(index) = &op.index {
        ensure!(op.format == WeightFormat::Int8, "only int8 layers can do without their empty blocks");
        let blocks = index.blocks(&op.weights);
        blocks.check(op.inputs, op.outputs).map_err(|reason| format_err!("the blocks of {weights:?}: {reason}"))?;
    }
    builder.wire(op, &inputs)
}
