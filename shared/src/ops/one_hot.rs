//! `emberlite_one_hot`: a category becomes a row of zeros with a one in the category's place.

use std::collections::HashMap;
use std::hash::Hash;

use tract_nnef::internal::*;

use super::text;

const NAME: &str = "emberlite_one_hot";

/// The categories in their order, and where each of them stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Categories {
    Text(Vec<String>, HashMap<String, usize>),
    Integers(Vec<i64>, HashMap<i64, usize>),
}

/// One-hot encoding, ONNX's `OneHotEncoder`.
///
/// Input: any shape; strings if the categories are strings, else numbers, whose fraction is cut off.
/// Output: `f32`, with one axis more, the last, as long as there are categories. A value that is no category gets zeros
/// only, or is an error. Of equal categories the last counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneHot {
    categories: Categories,
    zeros: bool,
}

impl OneHot {
    /// Encodes strings. With `zeros` an unknown one is no error.
    pub fn of_strings(categories: Vec<String>, zeros: bool) -> OneHot {
        let places = places(&categories);
        OneHot { categories: Categories::Text(categories, places), zeros }
    }

    /// Encodes integers. With `zeros` an unknown one is no error.
    pub fn of_integers(categories: Vec<i64>, zeros: bool) -> OneHot {
        let places = places(&categories);
        OneHot { categories: Categories::Integers(categories, places), zeros }
    }

    /// The categories, if they are strings.
    pub fn strings(&self) -> Option<&[String]> {
        match &self.categories {
            Categories::Text(categories, _) => Some(categories),
            Categories::Integers(..) => None,
        }
    }

    fn len(&self) -> usize {
        match &self.categories {
            Categories::Text(categories, _) => categories.len(),
            Categories::Integers(categories, _) => categories.len(),
        }
    }

    fn places_of(&self, input: &Tensor) -> TractResult<Vec<Option<usize>>> {
        match &self.categories {
            Categories::Text(_, places) => {
                let strings = input.try_as_plain_ram()?;
                strings.as_slice::<String>()?.iter().map(|s| self.place(places.get(s), s)).collect()
            }
            Categories::Integers(_, places) => {
                let integers = input.cast_to::<i64>()?;
                let integers = integers.try_as_plain_ram()?;
                integers.as_slice::<i64>()?.iter().map(|i| self.place(places.get(i), i)).collect()
            }
        }
    }

    fn place(&self, place: Option<&usize>, value: &dyn std::fmt::Debug) -> TractResult<Option<usize>> {
        ensure!(self.zeros || place.is_some(), "{value:?} is none of the {} categories", self.len());
        Ok(place.copied())
    }
}

fn places<T: Clone + Eq + Hash>(categories: &[T]) -> HashMap<T, usize> {
    categories.iter().cloned().enumerate().map(|(place, category)| (category, place)).collect()
}

impl Op for OneHot {
    fn name(&self) -> StaticName {
        "OneHotEncoder".into()
    }

    op_as_typed_op!();
}

impl EvalOp for OneHot {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let width = self.len();
        let mut output = vec![0f32; input.len() * width];
        for (row, place) in self.places_of(&input)?.into_iter().enumerate() {
            if let Some(place) = place {
                output[row * width + place] = 1.0;
            }
        }
        let mut shape: TVec<usize> = input.shape().into();
        shape.push(width);
        Ok(tvec!(tensor1(&output).into_shape(&shape)?.into_tvalue()))
    }
}

impl TypedOp for OneHot {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let [input] = inputs else { bail!("expected one input, got {}", inputs.len()) };
        let strings = matches!(self.categories, Categories::Text(..));
        let fits = strings == (input.datum_type == DatumType::String);
        ensure!(fits, "{:?} cannot be encoded by {:?}", input.datum_type, self.categories);
        let mut shape: TVec<TDim> = input.shape.iter().cloned().collect();
        shape.push(self.len().to_dim());
        Ok(tvec!(f32::fact(shape)))
    }

    as_op!();
}

pub(super) fn register(registry: &mut Registry) {
    registry.register_dumper(dump);
    registry.register_primitive(
        NAME,
        &[
            TypeName::Any.tensor().named("input"),
            TypeName::Integer.tensor().named("categories").doc("integers, or the bytes of a JSON array of strings"),
            TypeName::Logical.named("zeros").default(true).doc("whether an unknown value is no error"),
        ],
        &[("output", TypeName::Scalar.tensor())],
        load,
    );
}

fn dump(ast: &mut IntoAst<'_>, node: &TypedNode, op: &OneHot) -> TractResult<Option<Arc<RValue>>> {
    let input = ast.mapping[&node.inputs[0]].clone();
    let categories = match &op.categories {
        Categories::Text(strings, _) => text::to_tensor(strings)?,
        Categories::Integers(integers, _) => rctensor1(integers),
    };
    let categories = ast.konst_variable(format!("{}_categories", node.name), &categories)?;
    Ok(Some(invocation(NAME, &[input, categories], &[("zeros", logical(op.zeros))])))
}

fn load(builder: &mut ModelBuilder<'_>, invocation: &ResolvedInvocation<'_>) -> TractResult<Value> {
    let input: OutletId = invocation.named_arg_as(builder, "input")?;
    let categories: Arc<Tensor> = invocation.named_arg_as(builder, "categories")?;
    let zeros = invocation.named_arg_as(builder, "zeros")?;
    let op = match categories.datum_type() {
        DatumType::U8 => OneHot::of_strings(text::from_tensor(&categories)?, zeros),
        _ => OneHot::of_integers(categories.try_as_plain_ram()?.as_slice::<i64>()?.to_vec(), zeros),
    };
    builder.wire(op, &[input])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(op: &OneHot, input: Tensor) -> TractResult<Vec<f32>> {
        let output = op.eval(&EvalContext::out_of_plan(), tvec!(input.into_tvalue()))?.remove(0);
        Ok(output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
    }

    #[test]
    fn an_unknown_category_is_zeros_or_an_error() -> TractResult<()> {
        let input = || tensor1(&["b".to_owned(), "c".to_owned()]);
        let categories = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(encode(&OneHot::of_strings(categories.clone(), true), input())?, [0.0, 1.0, 0.0, 0.0]);
        let refused = encode(&OneHot::of_strings(categories, false), input()).unwrap_err();
        assert_eq!(refused.to_string(), "\"c\" is none of the 2 categories");
        Ok(())
    }

    #[test]
    fn numbers_are_cut_to_integers() -> TractResult<()> {
        assert_eq!(encode(&OneHot::of_integers(vec![-1, 2], true), tensor1(&[2.9f32, -1.2]))?, [0.0, 1.0, 1.0, 0.0]);
        Ok(())
    }
}
