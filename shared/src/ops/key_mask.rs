//! `emberlite_key_mask`: which tokens are padding, as numbers to add to attention scores.

use tract_nnef::internal::*;

use super::output::{filled, ids};

const NAME: &str = "emberlite_key_mask";

/// Input: `i64` `[batch, tokens]`, 1 for a token and 0 for padding. Output: `f32` `[batch, 1, 1, tokens]`, 0 for a token
/// and `f32::MIN` for padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMask;

impl Op for KeyMask {
    fn name(&self) -> StaticName {
        "KeyMask".into()
    }

    op_as_typed_op!();
}

impl EvalOp for KeyMask {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let &[batch, tokens] = input.shape() else { bail!("expected [batch, tokens], got {:?}", input.shape()) };
        let mask = ids(&input)?;
        filled(&[batch, 1, 1, tokens], |out| {
            for (out, kept) in out.iter_mut().zip(mask) {
                *out = if *kept == 0 { f32::MIN } else { 0.0 };
            }
        })
    }
}

impl TypedOp for KeyMask {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let [input] = inputs else { bail!("expected one input, got {}", inputs.len()) };
        let fits = input.datum_type == i64::datum_type() && input.rank() == 2;
        ensure!(fits, "expected a mask [batch, tokens] of integers, got {input:?}");
        Ok(tvec!(f32::fact([input.shape[0].clone(), 1.to_dim(), 1.to_dim(), input.shape[1].clone()])))
    }

    as_op!();
}

pub(super) fn register(registry: &mut Registry) {
    registry.register_dumper(|ast: &mut IntoAst<'_>, node: &TypedNode, _: &KeyMask| {
        Ok(Some(invocation(NAME, &[ast.mapping[&node.inputs[0]].clone()], &[])))
    });
    registry.register_primitive(
        NAME,
        &[TypeName::Integer.tensor().named("mask")],
        &[("output", TypeName::Scalar.tensor())],
        |builder, invocation| {
            let input: OutletId = invocation.named_arg_as(builder, "mask")?;
            builder.wire(KeyMask, &[input])
        },
    );
}
