//! Small pieces that several operators are wired from.

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::logic::wire_with_rank_broadcast;
use tract_onnx::tract_hir::tract_core::ops::cast::cast;
use tract_onnx::tract_hir::tract_core::ops::identity::Identity;

use emberlite::ops::label_map::LabelMap;

/// What an operator's importer gives back.
pub(super) type Built = TractResult<(Box<dyn InferenceOp>, Vec<String>)>;

/// `outlet` as `to`, without a node where it is that already.
pub(super) fn to_type(model: &mut TypedModel, name: String, outlet: OutletId, to: DatumType) -> TractResult<OutletId> {
    if model.outlet_fact(outlet)?.datum_type == to {
        return Ok(outlet);
    }
    Ok(model.wire_node(name, cast(to), &[outlet])?[0])
}

/// Wires `op` on `left` and the constant `right`, which counts for the last axes of `left`.
pub(super) fn with_constant(
    model: &mut TypedModel,
    name: String,
    op: impl Into<Box<dyn TypedOp>>,
    left: OutletId,
    right: Arc<Tensor>,
) -> TractResult<OutletId> {
    let constant = model.add_const(format!("{name}.constant"), right)?;
    Ok(wire_with_rank_broadcast(name, model, op, &[left, constant])?[0])
}

/// A classifier's classes by their names.
#[derive(Clone, Debug)]
pub(super) enum Labels {
    Text(Vec<String>),
    Integers(Vec<i64>),
}

impl Labels {
    /// Reads the attributes `integers` and `classlabels_strings`, of which one must be there.
    pub(super) fn parse(node: &NodeProto, integers: &str) -> TractResult<Labels> {
        let strings: Vec<String> = node.get_attr_opt_vec("classlabels_strings")?.unwrap_or_default();
        let integers_given: Vec<i64> = node.get_attr_opt_vec(integers)?.unwrap_or_default();
        match (strings.is_empty(), integers_given.is_empty()) {
            (false, _) => Ok(Labels::Text(strings)),
            (true, false) => Ok(Labels::Integers(integers_given)),
            (true, true) => node.bail(&format!("expected `{integers}` or `classlabels_strings`")),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Labels::Text(labels) => labels.len(),
            Labels::Integers(labels) => labels.len(),
        }
    }

    pub(super) fn datum_type(&self) -> DatumType {
        match self {
            Labels::Text(_) => DatumType::String,
            Labels::Integers(_) => DatumType::I64,
        }
    }

    /// Wires the labels of the classes that `indices` gives.
    pub(super) fn wire(&self, model: &mut TypedModel, name: String, indices: OutletId) -> TractResult<OutletId> {
        let outlets = match self {
            Labels::Text(labels) => model.wire_node(name, LabelMap::of_classes(labels)?, &[indices])?,
            Labels::Integers(labels) if labels.iter().copied().eq(0..labels.len() as i64) => {
                model.wire_node(name, Identity, &[indices])?
            }
            Labels::Integers(labels) => {
                let keys: Vec<i64> = (0..labels.len() as i64).collect();
                let map = LabelMap::new(rctensor1(&keys), rctensor1(labels), rctensor1(&[0i64]))?;
                model.wire_node(name, map, &[indices])?
            }
        };
        Ok(outlets[0])
    }
}
