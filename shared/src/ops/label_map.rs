//! `emberlite_label_map`: one value for another, by a table.

use std::collections::HashMap;

use tract_nnef::internal::*;

use super::text;

const NAME: &str = "emberlite_label_map";

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Text(String),
    Integer(i64),
    /// The bits, of one zero and one NaN.
    Float(u32),
}

impl Key {
    fn float(value: f32) -> Key {
        let value = if value == 0.0 { 0.0 } else { value };
        Key::Float(if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() })
    }

    /// The elements of `tensor` as keys: strings, floats (as `f32`) or integers (as `i64`).
    fn of(tensor: &Tensor) -> TractResult<Vec<Key>> {
        if tensor.datum_type() == DatumType::String {
            let strings = tensor.try_as_plain_ram()?;
            return Ok(strings.as_slice::<String>()?.iter().cloned().map(Key::Text).collect());
        }
        if tensor.datum_type().is_float() {
            let floats = tensor.cast_to::<f32>()?;
            return Ok(floats.try_as_plain_ram()?.as_slice::<f32>()?.iter().copied().map(Key::float).collect());
        }
        let integers = tensor.cast_to::<i64>()?;
        Ok(integers.try_as_plain_ram()?.as_slice::<i64>()?.iter().copied().map(Key::Integer).collect())
    }
}

/// A table of keys and values, ONNX's `LabelEncoder` and the names of a classifier's classes.
///
/// Input: any shape, of the keys' kind (strings, floats or integers). Output: the same shape, of the values' type. A
/// value that is no key gives the default. Of equal keys the first counts; NaN is a key like another.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelMap {
    keys: Arc<Tensor>,
    values: Arc<Tensor>,
    default: Arc<Tensor>,
    places: HashMap<Key, usize>,
}

impl Eq for LabelMap {}

impl LabelMap {
    /// Maps `keys` to `values`, one by one, and all else to `default`, which is a single value.
    ///
    /// # Errors
    /// Lists of different lengths, or a default of another type than the values.
    pub fn new(keys: Arc<Tensor>, values: Arc<Tensor>, default: Arc<Tensor>) -> TractResult<LabelMap> {
        ensure!(
            keys.rank() == 1 && keys.shape() == values.shape(),
            "expected as many values as keys: {keys:?}, {values:?}"
        );
        ensure!(default.len() == 1, "expected one default, got {default:?}");
        ensure!(
            default.datum_type() == values.datum_type(),
            "the default {default:?} is of another type than {values:?}"
        );
        let mut places = HashMap::new();
        for (place, key) in Key::of(&keys)?.into_iter().enumerate() {
            places.entry(key).or_insert(place);
        }
        Ok(LabelMap { keys, values, default, places })
    }

    /// Maps `0..labels.len()` to `labels`, and all else to the empty string.
    pub fn of_classes(labels: &[String]) -> TractResult<LabelMap> {
        let keys: Vec<i64> = (0..labels.len() as i64).collect();
        LabelMap::new(rctensor1(&keys), rctensor1(labels), rctensor1(&[String::new()]))
    }

    /// The keys, if they are strings.
    pub fn strings(&self) -> Option<&[String]> {
        self.keys.try_as_plain_ram().ok()?.as_slice::<String>().ok()
    }

    fn map<T: Datum>(&self, input: &Tensor) -> TractResult<Tensor> {
        let (values, default) = (self.values.try_as_plain_ram()?, self.default.try_as_plain_ram()?);
        let (values, default) = (values.as_slice::<T>()?, &default.as_slice::<T>()?[0]);
        let pick = |key: &Key| self.places.get(key).map_or(default, |&place| &values[place]).clone();
        let output: Vec<T> = Key::of(input)?.iter().map(pick).collect();
        tensor1(&output).into_shape(input.shape())
    }
}

impl Op for LabelMap {
    fn name(&self) -> StaticName {
        "LabelMap".into()
    }

    op_as_typed_op!();
}

impl EvalOp for LabelMap {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        Ok(tvec!(dispatch_datum!(Self::map(self.values.datum_type())(self, &input))?.into_tvalue()))
    }
}

impl TypedOp for LabelMap {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let [input] = inputs else { bail!("expected one input, got {}", inputs.len()) };
        let kind = |dt: DatumType| (dt == DatumType::String, dt.is_float());
        let fits = kind(input.datum_type) == kind(self.keys.datum_type());
        ensure!(fits, "{:?} cannot be looked up among {:?}", input.datum_type, self.keys.datum_type());
        Ok(tvec!(self.values.datum_type().fact(input.shape.iter())))
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
        &[
            TypeName::Any.tensor().named("input"),
            TypeName::Any.tensor().named("keys").doc("numbers, or the bytes of a JSON array of strings"),
            TypeName::Any.tensor().named("values").doc("likewise"),
            TypeName::Any.tensor().named("default").doc("likewise, a single one"),
        ],
        &[("output", TypeName::Any.tensor())],
        load,
    );
}

fn dump(ast: &mut IntoAst<'_>, node: &TypedNode, op: &LabelMap) -> TractResult<Option<Arc<RValue>>> {
    let mut arguments = vec![ast.mapping[&node.inputs[0]].clone()];
    for (name, tensor) in [("keys", &op.keys), ("values", &op.values), ("default", &op.default)] {
        let stored = match tensor.datum_type() {
            DatumType::String => text::to_tensor(tensor.try_as_plain_ram()?.as_slice::<String>()?)?,
            _ => tensor.clone(),
        };
        arguments.push(ast.konst_variable(format!("{}_{name}", node.name), &stored)?);
    }
    Ok(Some(invocation(NAME, &arguments, &[])))
}

fn load(builder: &mut ModelBuilder<'_>, invocation: &ResolvedInvocation<'_>) -> TractResult<Value> {
    let input: OutletId = invocation.named_arg_as(builder, "input")?;
    let mut table = |name: &str| -> TractResult<Arc<Tensor>> {
        let stored: Arc<Tensor> = invocation.named_arg_as(builder, name)?;
        match stored.datum_type() {
            DatumType::U8 => Ok(rctensor1(&text::from_tensor(&stored)?)),
            _ => Ok(stored),
        }
    };
    let op = LabelMap::new(table("keys")?, table("values")?, table("default")?)?;
    builder.wire(op, &[input])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_a_number_is_a_key_and_both_zeros_are_one() -> TractResult<()> {
        let map = LabelMap::new(rctensor1(&[f32::NAN, 0.0]), rctensor1(&[7i64, 8]), rctensor1(&[-1i64]))?;
        let input = tensor2(&[[-0.0f32, f32::NAN], [1.0, 0.0]]);
        let output = map.eval(&EvalContext::out_of_plan(), tvec!(input.into_tvalue()))?.remove(0);
        assert_eq!(*output, tensor2(&[[8i64, 7], [-1, 8]]));
        Ok(())
    }
}
