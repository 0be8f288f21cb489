//! `LabelEncoder`: any of strings, integers and floats to any other.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use emberlite::ops::label_map::LabelMap;

use super::wire::Built;

#[derive(Clone, Debug)]
struct LabelEncoder {
    op: LabelMap,
    to: DatumType,
}

pub(super) fn label_encoder(context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    let classes: Vec<String> = node.get_attr_opt_vec("classes_strings")?.unwrap_or_default();
    let (keys, values, default) = match classes.is_empty() {
        false => return node.bail_attr("classes_strings", "the form of operator set 1 is not supported"),
        true => (list(context, node, "keys")?, list(context, node, "values")?, default(context, node)?),
    };
    let keys = keys.with_context(|| format!("node {} has no keys", node.name))?;
    let values = values.with_context(|| format!("node {} has no values", node.name))?;
    let default = match default {
        Some(default) => default,
        None => standard_default(node, values.datum_type())?,
    };
    let to = values.datum_type();
    let op = LabelMap::new(keys.into_arc_tensor(), values.into_arc_tensor(), default.into_arc_tensor())?;
    Ok((expand(LabelEncoder { op, to }), vec![]))
}

/// The attribute `keys_…` or `values_…`, whichever type it has.
fn list(context: &ParsingContext<'_>, node: &NodeProto, stem: &str) -> TractResult<Option<Tensor>> {
    if let Some(strings) = node.get_attr_opt_vec::<String>(&format!("{stem}_strings"))? {
        return Ok(Some(tensor1(&strings)));
    }
    if let Some(integers) = node.get_attr_opt_slice::<i64>(&format!("{stem}_int64s"))? {
        return Ok(Some(tensor1(integers)));
    }
    if let Some(floats) = node.get_attr_opt_slice::<f32>(&format!("{stem}_floats"))? {
        return Ok(Some(tensor1(floats)));
    }
    node.get_attr_opt(&format!("{stem}_tensor"))?.map(|tensor| context.load_tensor(tensor)).transpose()
}

fn default(context: &ParsingContext<'_>, node: &NodeProto) -> TractResult<Option<Tensor>> {
    node.get_attr_opt("default_tensor")?.map(|tensor| context.load_tensor(tensor)).transpose()
}

fn standard_default(node: &NodeProto, to: DatumType) -> TractResult<Tensor> {
    Ok(match to {
        DatumType::String => {
            let default: Option<String> = node.get_attr_opt("default_string")?;
            tensor1(&[default.unwrap_or_else(|| "_Unused".to_owned())])
        }
        to if to.is_float() => {
            let default: f32 = node.get_attr_opt("default_float")?.unwrap_or(-0.0);
            tensor1(&[default]).cast_to_dt(to)?.into_owned()
        }
        to => {
            let default: i64 = node.get_attr_opt("default_int64")?.unwrap_or(-1);
            tensor1(&[default]).cast_to_dt(to)?.into_owned()
        }
    })
}

impl Expansion for LabelEncoder {
    fn name(&self) -> StaticName {
        "LabelEncoder".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&inputs[0].shape, &outputs[0].shape)?;
        solver.equals(&outputs[0].datum_type, self.to)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.op.clone(), inputs)
    }
}
