//! `emberlite_cast_text`: numbers to strings and strings to numbers, ONNX's `Cast` where tract has none.

use std::str::FromStr;

use tract_nnef::internal::*;
use tract_nnef::ser::datum_type;

const NAME: &str = "emberlite_cast_text";

/// A cast that has strings on one side.
///
/// Input: any shape; strings if `to` is a number type, else numbers. Output: the same shape. A float is written with
/// eight (`f32`) or seventeen (`f64`) significant digits at most, as C's `%g` does, one that is no number as `NaN`, an
/// infinite one as `INF` or `-INF`. A string that is no number is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CastText {
    to: DatumType,
}

impl CastText {
    /// A cast to strings, or from strings to `to`.
    pub fn new(to: DatumType) -> CastText {
        CastText { to }
    }

    fn write(input: &Tensor) -> TractResult<Tensor> {
        let strings: Vec<String> = match input.datum_type() {
            DatumType::F64 => input.try_as_plain_ram()?.as_slice::<f64>()?.iter().map(|&x| written(x, 17)).collect(),
            dt if dt.is_float() => {
                let floats = input.cast_to::<f32>()?;
                floats.try_as_plain_ram()?.as_slice::<f32>()?.iter().map(|&x| written(f64::from(x), 8)).collect()
            }
            _ => {
                let integers = input.cast_to::<i64>()?;
                integers.try_as_plain_ram()?.as_slice::<i64>()?.iter().map(ToString::to_string).collect()
            }
        };
        tensor1(&strings).into_shape(input.shape())
    }

    fn read<T: Datum + FromStr>(input: &Tensor) -> TractResult<Tensor> {
        let strings = input.try_as_plain_ram()?;
        let read = |text: &String| text.trim().parse().map_err(|_| format_err!("{text:?} is no {:?}", T::datum_type()));
        let numbers: Vec<T> = strings.as_slice::<String>()?.iter().map(read).collect::<TractResult<_>>()?;
        tensor1(&numbers).into_shape(input.shape())
    }
}

/// `value` as `%.{digits}g` writes it.
fn written(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "INF" } else { "-INF" }.to_owned();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let places = (digits as i32 - 1 - exponent).max(0) as usize;
    trimmed(&format!("{value:.places$}")).to_owned()
}

fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

impl Op for CastText {
    fn name(&self) -> StaticName {
        "CastText".into()
    }

    op_as_typed_op!();
}

impl EvalOp for CastText {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let output = match self.to {
            DatumType::String => CastText::write(&input)?,
            DatumType::F64 => CastText::read::<f64>(&input)?,
            to if to.is_float() => CastText::read::<f32>(&input)?.cast_to_dt(to)?.into_owned(),
            to => CastText::read::<i64>(&input)?.cast_to_dt(to)?.into_owned(),
        };
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for CastText {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let [input] = inputs else { bail!("expected one input, got {}", inputs.len()) };
        let one_side = (input.datum_type == DatumType::String) != (self.to == DatumType::String);
        ensure!(one_side, "{:?} to {:?} is no cast between strings and numbers", input.datum_type, self.to);
        Ok(tvec!(self.to.fact(input.shape.iter())))
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
        &[TypeName::Any.tensor().named("input"), TypeName::String.named("to")],
        &[("output", TypeName::Any.tensor())],
        load,
    );
}

fn dump(ast: &mut IntoAst<'_>, node: &TypedNode, op: &CastText) -> TractResult<Option<Arc<RValue>>> {
    let input = ast.mapping[&node.inputs[0]].clone();
    Ok(Some(invocation(NAME, &[input], &[("to", datum_type(op.to))])))
}

fn load(builder: &mut ModelBuilder<'_>, invocation: &ResolvedInvocation<'_>) -> TractResult<Value> {
    let input: OutletId = invocation.named_arg_as(builder, "input")?;
    let to: String = invocation.named_arg_as(builder, "to")?;
    builder.wire(CastText::new(to.parse()?), &[input])
}

#[cfg(test)]
mod tests {
    use super::written;

    #[test]
    fn floats_are_written_as_c_does() {
        let cases =
            [(1.0, "1"), (0.1f32 as f64, "0.1"), (1e-5, "1e-05"), (123456789.0, "1.2345679e+08"), (-2.5, "-2.5")];
        for (value, text) in cases {
            assert_eq!(written(value, 8), text);
        }
        assert_eq!(written(100.0, 8), "100");
        assert_eq!(written(f64::NAN, 8), "NaN");
        assert_eq!(written(f64::NEG_INFINITY, 8), "-INF");
    }
}
