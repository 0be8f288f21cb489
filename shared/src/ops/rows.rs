//! `emberlite_rows`: the rows whose logits a step wants.

use tract_nnef::internal::*;

use super::output::{filled, floats};
use super::step::Step;

const NAME: &str = "emberlite_rows";
/// The symbol of how many rows are wanted.
pub(crate) const WANTED: &str = "R";

/// The rows of `x` that the step under way wants logits of, in their order.
///
/// Input: `x`, `f32` `[1, T, width]`, `T` being a symbol. Output: `f32` `[1, R, width]`. Outside a step it is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows;

impl Op for Rows {
    fn name(&self) -> StaticName {
        "Rows".into()
    }

    fn mints_runtime_symbols(&self) -> bool {
        true
    }

    op_as_typed_op!();
}

impl EvalOp for Rows {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let x = args_1!(inputs);
        let &[1, tokens, width] = x.shape() else { bail!("expected [1, tokens, width], got {:?}", x.shape()) };
        Step::current(|step| {
            ensure!(step.tokens() == tokens, "the step has {} tokens, the graph {tokens}", step.tokens());
            if step.rows() == tokens {
                return Ok(tvec!(x.clone()));
            }
            let numbers = floats(&x)?;
            filled(&[1, step.rows(), width], |mut out| {
                let mut first = 0;
                for part in &step.parts {
                    let rows = part.want.rows(part.tokens);
                    let (to, rest) = std::mem::take(&mut out).split_at_mut(rows.len() * width);
                    to.copy_from_slice(&numbers[(first + rows.start) * width..(first + rows.end) * width]);
                    out = rest;
                    first += part.tokens;
                }
            })
        })
    }
}

impl TypedOp for Rows {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let [input] = inputs else { bail!("expected one input, got {}", inputs.len()) };
        let fits = input.datum_type == f32::datum_type() && input.rank() == 3 && input.shape[0].is_one();
        ensure!(fits, "expected f32 [1, tokens, width], got {input:?}");
        let scope = input.shape[1].symbols().into_iter().find_map(|symbol| symbol.scope());
        let scope = scope.with_context(|| format!("expected a symbol of tokens, got {}", input.shape[1]))?;
        Ok(tvec!(f32::fact([1.to_dim(), scope.sym(WANTED).to_dim(), input.shape[2].clone()])))
    }

    as_op!();
}

pub(super) fn register(registry: &mut Registry) {
    registry.register_dumper(dump);
    registry.register_primitive(
        NAME,
        &[TypeName::Scalar.tensor().named("input")],
        &[("output", TypeName::Scalar.tensor())],
        |builder, invocation| {
            let input: OutletId = invocation.named_arg_as(builder, "input")?;
            builder.wire(Rows, &[input])
        },
    );
}

fn dump(ast: &mut IntoAst<'_>, node: &TypedNode, _op: &Rows) -> TractResult<Option<Arc<RValue>>> {
    Ok(Some(invocation(NAME, &[ast.mapping[&node.inputs[0]].clone()], &[])))
}
