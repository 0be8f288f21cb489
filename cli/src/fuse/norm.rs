//! Layer norm and RMS norm in pieces become one operator, with the residual before them.

use emberlite::ops::Norm;
use tract_core::internal::*;
use tract_core::ops::math::{Add, Mul, Sub};
use tract_core::ops::nn::{Reduce, Reducer, RmsNorm};

use super::axes::same_shape;
use super::view::{Draft, View};

/// tract knows the RMS norm in both; what is left is to see the mean subtracted before, the gain and bias after.
pub(super) fn norm(view: View<'_>, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
    rule_if_some!(op = node.op_as::<RmsNorm>());
    let normed = OutletId::new(node.id, 0);
    rule_if_some!(shape = view.floats(normed));
    rule_if!(op.axis + 1 == shape.rank());
    rule_if_some!(width = shape[op.axis].to_usize().ok());
    let epsilon = op.eps.cast_to_scalar::<f32>()?;

    let centred = node.inputs[0];
    let layer = view.sole_user(centred).and_then(|_| centred_from(view, centred, width));
    let (mut last, mut gain, mut bias) = (normed, vec![1.0; width], None);
    let beside = |user: &TypedNode, last: OutletId, [left, right]: [OutletId; 2]| {
        let column = view.along_last(if left == last { right } else { left }, width);
        column.filter(|_| same_shape(view, OutletId::new(user.id, 0), last))
    };
    let scaled = view.sole_user(last).and_then(|user| Some((user, beside(user, last, view.binary::<Mul>(user)?)?)));
    if let Some((user, factors)) = scaled {
        (last, gain) = (OutletId::new(user.id, 0), factors);
    }
    let shifted = view.sole_user(last).and_then(|user| Some((user, beside(user, last, view.binary::<Add>(user)?)?)));
    if let (Some((user, terms)), true) = (shifted, layer.is_some()) {
        (last, bias) = (OutletId::new(user.id, 0), Some(terms));
    }

    let made = match layer {
        Some(_) => Norm::layer(&gain, bias.as_deref(), epsilon),
        None => Norm::rms(&gain, epsilon),
    };
    let norm = made.map_err(TractError::msg)?;
    let (x, readers) = layer.unwrap_or((centred, 1));
    let residual = view.binary::<Add>(view.node(x)).filter(|[left, right]| {
        let own = view.users(x).len() == readers && !view.is_output(x);
        own && same_shape(view, *left, x) && same_shape(view, *right, x)
    });
    let mut draft = Draft::new(view, &view.node(last).name, &[last]);
    let y = match residual {
        Some([left, right]) => {
            let inputs = [draft.tap(left)?, draft.tap(right)?];
            draft.wire(norm.with_residual(), &inputs)?
        }
        None => {
            let x = draft.tap(x)?;
            draft.wire(norm, &[x])?
        }
    };
    draft.replace(last, y)
}

/// What the mean over the last axis was subtracted from, and how many nodes read it for that.
fn centred_from(view: View<'_>, centred: OutletId, width: usize) -> Option<(OutletId, usize)> {
    let [x, mean] = view.binary::<Sub>(view.node(centred))?;
    view.sole_user(mean)?;
    let (sum, factor) = view.scaled(mean)?;
    view.sole_user(sum)?;
    let reduce = view.op::<Reduce>(sum)?;
    let rank = view.floats(x)?.rank();
    let is_mean = reduce.reducer == Reducer::Sum
        && *reduce.axes == [rank - 1]
        && (factor * width as f32 - 1.0).abs() < 1e-5
        && view.node(sum).inputs.first() == Some(&x);
    is_mean.then_some((x, 2))
}
