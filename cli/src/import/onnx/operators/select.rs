//! `ArrayFeatureExtractor` and `FeatureVectorizer`: columns taken apart and put together.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::array::TypedConcat;
use tract_onnx::tract_hir::tract_core::ops::array::Gather;
use tract_onnx::tract_hir::tract_core::ops::change_axes::AxisOp;

use emberlite::ops::label_map::LabelMap;

use super::wire::{Built, to_type};

pub(super) fn array_feature_extractor(_context: &ParsingContext<'_>, _node: &NodeProto) -> Built {
    Ok((expand(ArrayFeatureExtractor), vec![]))
}

/// Takes the columns that the second input names from the first, which counts as one row if it has one axis.
#[derive(Clone, Debug)]
struct ArrayFeatureExtractor;

impl Expansion for ArrayFeatureExtractor {
    fn name(&self) -> StaticName {
        "ArrayFeatureExtractor".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 2)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
        solver.given_2(&inputs[0].shape, &inputs[1].shape, |solver, mut shape, columns| {
            let taken: TDim = columns.iter().product();
            match shape.len() {
                0 => bail!("there is no column in a scalar"),
                1 => shape = tvec!(1.to_dim(), taken),
                rank => shape[rank - 1] = taken,
            }
            solver.equals(&outputs[0].shape, shape)
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let &[input, columns] = inputs else { bail!("expected two inputs") };
        let columns = to_type(model, format!("{prefix}.index"), columns, DatumType::I64)?;
        let columns = flat(prefix, model, columns)?;
        let fact = model.outlet_fact(input)?.clone();
        let table = fact.konst.filter(|table| table.datum_type() == DatumType::String);
        let rank = fact.shape.rank();
        let taken = match table {
            Some(table) if table.len() == table.shape()[rank - 1] => {
                let names = table.try_as_plain_ram()?.as_slice::<String>()?.to_vec();
                model.wire_node(prefix, LabelMap::of_classes(&names)?, &[columns])?[0]
            }
            Some(table) => bail!("a table of strings with {} rows is not supported", table.shape()[0]),
            None => {
                let taken = model.wire_node(prefix, Gather::new(rank - 1), &[input, columns])?[0];
                if rank > 1 {
                    return Ok(tvec!(taken));
                }
                taken
            }
        };
        (0..rank.max(2) - 1)
            .try_fold(tvec!(taken), |wire, axis| model.wire_node(format!("{prefix}.row_{axis}"), AxisOp::Add(0), &wire))
    }
}

fn flat(prefix: &str, model: &mut TypedModel, outlet: OutletId) -> TractResult<OutletId> {
    let shape = model.outlet_fact(outlet)?.shape.to_tvec();
    if shape.len() == 1 {
        return Ok(outlet);
    }
    let whole: TDim = shape.iter().product();
    Ok(model.wire_node(format!("{prefix}.flat"), AxisOp::Reshape(0, shape, tvec!(whole)), &[outlet])?[0])
}

pub(super) fn feature_vectorizer(_context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    let widths: Vec<usize> = node.get_attr_vec("inputdimensions")?;
    Ok((expand(FeatureVectorizer { width: widths.iter().sum() }), vec![]))
}

/// Puts columns side by side, as floats. An input with one axis is one column.
#[derive(Clone, Debug)]
struct FeatureVectorizer {
    width: usize,
}

impl Expansion for FeatureVectorizer {
    fn name(&self) -> StaticName {
        "FeatureVectorizer".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, DatumType::F32)?;
        solver.equals(&outputs[0].rank, 2)?;
        solver.equals(&outputs[0].shape[0], &inputs[0].shape[0])?;
        solver.equals(&outputs[0].shape[1], self.width.to_dim())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let mut columns = tvec!();
        for (place, &input) in inputs.iter().enumerate() {
            let mut wire = to_type(model, format!("{prefix}.float_{place}"), input, DatumType::F32)?;
            if model.outlet_fact(wire)?.rank() == 1 {
                wire = model.wire_node(format!("{prefix}.column_{place}"), AxisOp::Add(1), &[wire])?[0];
            }
            columns.push(wire);
        }
        model.wire_node(prefix, TypedConcat::new(1), &columns)
    }
}
