//! `emberlite_pool`: the vectors of a text's tokens become one.

use serde::{Deserialize, Serialize};
use tract_nnef::internal::*;

use super::output::{filled, floats, ids};

const NAME: &str = "emberlite_pool";

/// How the vectors of a text's tokens become one. Padding never counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The first token's.
    Cls,
    /// Their mean.
    Mean,
    /// The greatest of each component.
    Max,
    /// Their sum over the square root of their number.
    MeanSqrt,
    /// The last token's.
    LastToken,
}

/// Pools the vectors of each text.
///
/// Inputs: `f32` `[batch, tokens, width]`, and `i64` `[batch, tokens]` that is 0 for padding. Output: `f32`
/// `[batch, width]`; zeros for a text of padding alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// How.
    pub pooling: Pooling,
}

/// The vector of a text, from those of its tokens that are no padding.
fn pool(pooling: Pooling, tokens: &[&[f32]], out: &mut [f32]) {
    out.fill(0.0);
    let ([first, ..], [.., last]) = (tokens, tokens) else { return };
    match pooling {
        Pooling::Cls => out.copy_from_slice(first),
        Pooling::LastToken => out.copy_from_slice(last),
        Pooling::Max => {
            out.copy_from_slice(first);
            for token in tokens {
                out.iter_mut().zip(*token).for_each(|(out, value)| *out = out.max(*value));
            }
        }
        Pooling::Mean | Pooling::MeanSqrt => {
            for token in tokens {
                out.iter_mut().zip(*token).for_each(|(out, value)| *out += value);
            }
            let count = tokens.len() as f32;
            let divisor = if pooling == Pooling::Mean { count } else { count.sqrt() };
            out.iter_mut().for_each(|out| *out /= divisor);
        }
    }
}

impl Op for Pool {
    fn name(&self) -> StaticName {
        "Pool".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Pool {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (hidden, mask) = args_2!(inputs);
        let &[batch, tokens, width] = hidden.shape() else {
            bail!("expected vectors [batch, tokens, width], got {:?}", hidden.shape())
        };
        ensure!(mask.shape() == [batch, tokens], "expected a mask [{batch}, {tokens}], got {:?}", mask.shape());
        let (vectors, kept) = (floats(&hidden)?, ids(&mask)?);
        filled(&[batch, width], |out| {
            for text in 0..batch {
                let vector = |token: usize| &vectors[(text * tokens + token) * width..][..width];
                let real: Vec<_> = (0..tokens).filter(|token| kept[text * tokens + token] != 0).map(vector).collect();
                pool(self.pooling, &real, &mut out[text * width..][..width]);
            }
        })
    }
}

impl TypedOp for Pool {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let [hidden, mask] = inputs else { bail!("expected two inputs, got {}", inputs.len()) };
        let fits = hidden.datum_type == f32::datum_type() && hidden.rank() == 3;
        ensure!(fits, "expected vectors [batch, tokens, width], got {hidden:?}");
        let fits = mask.datum_type == i64::datum_type() && mask.rank() == 2;
        ensure!(fits, "expected a mask [batch, tokens] of integers, got {mask:?}");
        Ok(tvec!(f32::fact([hidden.shape[0].clone(), hidden.shape[2].clone()])))
    }

    as_op!();
}

pub(super) fn register(registry: &mut Registry) {
    registry.register_dumper(|ast: &mut IntoAst<'_>, node: &TypedNode, op: &Pool| {
        let inputs = [ast.mapping[&node.inputs[0]].clone(), ast.mapping[&node.inputs[1]].clone()];
        let pooling = serde_json::to_value(op.pooling)?;
        Ok(Some(invocation(NAME, &inputs, &[("pooling", string(pooling.as_str().unwrap_or_default()))])))
    });
    registry.register_primitive(
        NAME,
        &[
            TypeName::Scalar.tensor().named("vectors"),
            TypeName::Integer.tensor().named("mask"),
            TypeName::String.named("pooling").doc("cls, mean, max, mean_sqrt or last_token"),
        ],
        &[("output", TypeName::Scalar.tensor())],
        |builder, invocation| {
            let vectors: OutletId = invocation.named_arg_as(builder, "vectors")?;
            let mask: OutletId = invocation.named_arg_as(builder, "mask")?;
            let pooling: String = invocation.named_arg_as(builder, "pooling")?;
            builder.wire(Pool { pooling: serde_json::from_value(pooling.into())? }, &[vectors, mask])
        },
    );
}
