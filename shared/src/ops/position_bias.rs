//! `emberlite_position_bias`: learned numbers to add to attention scores, by the distance of two tokens.

use tract_nnef::internal::*;

use super::output::filled;
use super::weights::Weights;

const NAME: &str = "emberlite_position_bias";

/// Relative position biases in buckets (Raffel et al. 2020): near distances have a bucket each, far ones share.
///
/// Input: any tensor `[batch, tokens, ..]`. Output: `f32` `[1, heads, tokens, tokens]`, queries before keys. In the
/// package the table is `f32` `[buckets, heads]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionBias {
    table: Weights,
    bidirectional: bool,
    max_distance: usize,
}

impl PositionBias {
    /// Biases from a table `[buckets, heads]`. Distances from `max_distance` on share the last bucket.
    ///
    /// # Errors
    /// A length that is not what the sizes say, or too few buckets.
    pub fn new(
        table: &[f32],
        buckets: usize,
        heads: usize,
        bidirectional: bool,
        max_distance: usize,
    ) -> Result<Self, String> {
        if Some(table.len()) != buckets.checked_mul(heads) {
            return Err(format!("{} numbers are no {buckets} buckets of {heads} heads", table.len()));
        }
        let op = Self { table: Weights::owned(&[buckets, heads], table.to_vec()), bidirectional, max_distance };
        op.check().map(|()| op)
    }

    /// The biases of these heads alone, in this order.
    ///
    /// # Errors
    /// Heads that it does not have, or none.
    pub fn with_heads(&self, kept: &[usize]) -> Result<Self, String> {
        let heads = self.heads();
        if let Some(head) = kept.iter().find(|head| **head >= heads) {
            return Err(format!("there are biases of {heads} heads, and none of head {head}"));
        }
        let row = |row: &[f32]| kept.iter().map(|head| row[*head]).collect::<Vec<_>>();
        let table: Vec<f32> = self.table.values::<f32>().chunks_exact(heads).flat_map(row).collect();
        Self::new(&table, self.table.shape()[0], kept.len(), self.bidirectional, self.max_distance)
    }

    /// How many heads there are.
    pub fn heads(&self) -> usize {
        self.table.shape()[1]
    }

    fn check(&self) -> Result<(), String> {
        let fits = self.table.datum_type() == f32::datum_type()
            && matches!(self.table.shape(), [buckets, heads] if *buckets >= 4 && *heads > 0)
            && self.max_distance > self.table.shape()[0] / 2;
        fits.then_some(())
            .ok_or(format!("{:?} with a reach of {} is no table of biases", self.table, self.max_distance))
    }

    /// The bucket for a key that is `distance` tokens after its query.
    fn bucket(&self, distance: i64) -> usize {
        let mut buckets = self.table.shape()[0];
        let mut first = 0;
        let steps = if self.bidirectional {
            buckets /= 2;
            first = if distance > 0 { buckets } else { 0 };
            distance.unsigned_abs() as usize
        } else {
            usize::try_from(-distance).unwrap_or(0)
        };
        let near = buckets / 2;
        if steps < near {
            return first + steps;
        }
        let reach = (steps as f32 / near as f32).ln() / (self.max_distance as f32 / near as f32).ln();
        first + (near + (reach * (buckets - near) as f32) as usize).min(buckets - 1)
    }
}

impl Op for PositionBias {
    fn name(&self) -> StaticName {
        "PositionBias".into()
    }

    op_as_typed_op!();
}

impl EvalOp for PositionBias {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let tokens = *input.shape().get(1).context("expected [batch, tokens, ..]")?;
        let heads = self.table.shape()[1];
        let table = self.table.values::<f32>();
        let last = tokens as i64;
        let buckets: Vec<usize> = (1 - last..last).map(|distance| self.bucket(distance)).collect();
        filled(&[1, heads, tokens, tokens], |out| {
            for (index, out) in out.iter_mut().enumerate() {
                let (head, query, key) = (index / (tokens * tokens), index / tokens % tokens, index % tokens);
                *out = table[buckets[key + tokens - 1 - query] * heads + head];
            }
        })
    }
}

impl TypedOp for PositionBias {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let [input] = inputs else { bail!("expected one input, got {}", inputs.len()) };
        ensure!(input.rank() >= 2, "expected [batch, tokens, ..], got {input:?}");
        let tokens = &input.shape[1];
        Ok(tvec!(f32::fact([1.to_dim(), self.table.shape()[1].to_dim(), tokens.clone(), tokens.clone()])))
    }

    as_op!();
}

pub(super) fn register(registry: &mut Registry) {
    registry.register_dumper(|ast: &mut IntoAst<'_>, node: &TypedNode, op: &PositionBias| {
        let table = op.table.dump(ast, format!("{}.table", node.name))?;
        let named = [
            ("table", table),
            ("bidirectional", logical(op.bidirectional)),
            ("max_distance", numeric(op.max_distance)),
        ];
        Ok(Some(invocation(NAME, &[ast.mapping[&node.inputs[0]].clone()], &named)))
    });
    registry.register_primitive(
        NAME,
        &[
            TypeName::Any.tensor().named("input"),
            TypeName::String.named("table").doc("the label of [buckets, heads]"),
            TypeName::Logical.named("bidirectional"),
            TypeName::Integer.named("max_distance"),
        ],
        &[("output", TypeName::Scalar.tensor())],
        |builder, invocation| {
            let input: OutletId = invocation.named_arg_as(builder, "input")?;
            let table: String = invocation.named_arg_as(builder, "table")?;
            let op = PositionBias {
                table: Weights::load(builder, &table)?,
                bidirectional: invocation.named_arg_as(builder, "bidirectional")?,
                max_distance: invocation.named_arg_as(builder, "max_distance")?,
            };
            op.check().map_err(|reason| format_err!("{reason}"))?;
            builder.wire(op, &[input])
        },
    );
}
