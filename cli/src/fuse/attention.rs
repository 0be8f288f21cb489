//! Scores, softmax and weighted sum become one attention, whatever the order of the axes between.

use emberlite::ops::Attention;
use tract_core::internal::*;
use tract_core::ops::einsum::EinSum;
use tract_core::ops::konst::Const;
use tract_core::ops::logic::Iff;
use tract_core::ops::math::{Add, IsNan, add};
use tract_core::ops::nn::{Softmax, SoftmaxKind};

use super::axes::{Factors, Layout, Part, arrange, origin, same_shape};
use super::view::{Draft, View};

/// The axes of scores, by what they count.
const BATCH: char = 'b';
const HEAD: char = 'h';
const QUERY: char = 'q';
const KEY: char = 'k';
/// The axis of a head's numbers.
const WIDTH: char = 'w';

/// What is added to scores.
enum Term {
    /// A tensor.
    Added(OutletId),
    /// A great negative number, where the condition is as told.
    Hidden { condition: OutletId, when: bool },
}

/// The terms of scores: one product of queries and keys, times a factor, and masks.
struct Scores {
    product: OutletId,
    scale: f32,
    terms: Vec<Term>,
}

/// A product of two tensors: where its operands have which axes, in the order of the scores' axes.
struct Operands {
    queries: (OutletId, Layout),
    keys: (OutletId, Layout),
}

/// Everything that an attention is made of.
struct Found<'a> {
    /// The node that weighs the values.
    sum: &'a TypedNode,
    scores: Scores,
    /// The scores' shape, and what its axes count.
    shape: &'a ShapeFact,
    labels: [char; 4],
    operands: Operands,
    values: (OutletId, Layout),
    /// The layout of the result.
    output: Layout,
}

/// `softmax(q k^T * scale + masks) v` becomes an `Attention` of separate queries, keys and values.
pub(super) fn attention(view: View<'_>, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
    rule_if_some!(op = node.op_as::<Softmax>());
    rule_if!(op.kind == SoftmaxKind::Softmax && op.quant_output_dt.is_none());
    rule_if_let!(&[key_axis] = &*op.axes);
    rule_if_some!(shape = view.floats(OutletId::new(node.id, 0)));
    rule_if!(shape.rank() == 4);
    rule_if_some!(scores = terms(view, node.inputs[0], 1.0));
    rule_if!(scores.terms.len() <= 4);
    rule_if_some!(weights = settled(view, OutletId::new(node.id, 0)));
    rule_if_some!(sum = view.sole_user(weights));
    for (batch_axis, head_axis) in axes_of_batch_and_heads(shape, key_axis) {
        let query_axis = 6 - key_axis - batch_axis - head_axis;
        let mut labels = [' '; 4];
        for (at, label) in [(batch_axis, BATCH), (head_axis, HEAD), (query_axis, QUERY), (key_axis, KEY)] {
            labels[at] = label;
        }
        let Some(operands) = operands(view, scores.product, labels) else { continue };
        let Some((values, output)) = weighted(view, sum, weights, labels) else { continue };
        return wire(view, Found { sum, scores, shape, labels, operands, values, output });
    }
    Ok(None)
}

/// Which of the scores' axes may be the batch's and the heads', likeliest first.
fn axes_of_batch_and_heads(shape: &ShapeFact, key_axis: usize) -> Vec<(usize, usize)> {
    let others: Vec<usize> = (0..4).filter(|axis| *axis != key_axis).collect();
    let fixed = |axis: &usize| shape[*axis].to_usize().is_ok();
    let mut pairs = Vec::new();
    for &head in others.iter().filter(|axis| fixed(axis)) {
        pairs.extend(others.iter().filter(|axis| **axis != head).map(|&batch| (batch, head)));
    }
    pairs.sort_by_key(|(batch, head)| (fixed(batch), batch > head));
    pairs
}

/// The weights after softmax, past what makes nothing of rows that have no key.
fn settled(view: View<'_>, softmax: OutletId) -> Option<OutletId> {
    if view.sole_user(softmax).is_some() {
        return Some(softmax);
    }
    if view.is_output(softmax) {
        return None;
    }
    let users = view.users(softmax);
    let [one, other] = &*users else { return None };
    let chosen = [one, other].into_iter().map(|id| &view.0.nodes[*id]).find(|node| node.op_is::<Iff>())?;
    let &[condition, hidden, kept] = &*chosen.inputs else { return None };
    let (_, tested) = view.unary::<IsNan>(view.node(condition))?;
    let unharmed = tested == softmax && kept == softmax && view.scalar(hidden) == Some(0.0);
    (unharmed && view.sole_user(condition).is_some()).then_some(OutletId::new(chosen.id, 0))
}

fn terms(view: View<'_>, outlet: OutletId, scale: f32) -> Option<Scores> {
    let node = view.node(outlet);
    view.sole_user(outlet)?;
    if node.op_is::<EinSum>() {
        return Some(Scores { product: outlet, scale, terms: vec![] });
    }
    if let Some((x, factor)) = view.scaled(outlet) {
        let scores = terms(view, x, scale * factor)?;
        return scores.terms.is_empty().then_some(scores);
    }
    if let Some([left, right]) = view.binary::<Add>(node) {
        let with = |scores: OutletId, mask: OutletId| {
            let mut scores = terms(view, scores, scale).filter(|_| same_shape(view, scores, outlet))?;
            scores.terms.push(Term::Added(mask));
            Some(scores)
        };
        return with(left, right).or_else(|| with(right, left));
    }
    if let (Some(_), &[condition, then, otherwise]) = (node.op_as::<Iff>(), &*node.inputs) {
        let with = |scores: OutletId, hidden: OutletId, when: bool| {
            view.scalar(hidden).filter(|number| *number <= -1e4)?;
            let mut scores = terms(view, scores, scale).filter(|_| same_shape(view, scores, outlet))?;
            scores.terms.push(Term::Hidden { condition, when });
            Some(scores)
        };
        return with(then, otherwise, false).or_else(|| with(otherwise, then, true));
    }
    None
}

/// The queries and keys of a product that gives scores with these axes.
fn operands(view: View<'_>, product: OutletId, labels: [char; 4]) -> Option<Operands> {
    let op = view.op::<EinSum>(product)?;
    let node = view.node(product);
    let &[first, second] = &*node.inputs else { return None };
    if op.q_params.is_some() || view.constant(first).is_some() || view.constant(second).is_some() {
        return None;
    }
    let layouts = [layout(view, op, node, 0, labels)?, layout(view, op, node, 1, labels)?];
    let has = |layout: &Layout, label: char| layout.0.iter().flatten().any(|part| part.label == label);
    let whole = |layout: &Layout, own: char, other: char| {
        [BATCH, HEAD, WIDTH, own].iter().all(|label| has(layout, *label)) && !has(layout, other)
    };
    let [left, right] = layouts;
    if whole(&left, QUERY, KEY) && whole(&right, KEY, QUERY) {
        return Some(Operands { queries: (first, left), keys: (second, right) });
    }
    let swapped = whole(&right, QUERY, KEY) && whole(&left, KEY, QUERY);
    swapped.then_some(Operands { queries: (second, right), keys: (first, left) })
}

/// The layout of an operand of a product whose result has axes with these labels; the axis that is summed is the width.
fn layout(view: View<'_>, op: &EinSum, node: &TypedNode, slot: usize, labels: [char; 4]) -> Option<Layout> {
    let shape = view.floats(*node.inputs.get(slot)?)?;
    let mut axes = vec![vec![]; shape.rank()];
    for axis in op.axes.iter_all_axes() {
        let &[at] = &*axis.inputs[slot] else { if axis.inputs[slot].is_empty() { continue } else { return None } };
        let label = match &*axis.outputs[0] {
            &[out] => *labels.get(out)?,
            [] if axis.inputs.iter().all(|places| places.len() == 1) => WIDTH,
            [] if shape[at].is_one() => continue,
            _ => return None,
        };
        axes[at] = vec![Part { label, size: shape[at].clone() }];
    }
    let parts: Vec<&Part> = axes.iter().flatten().collect();
    let unique = parts.iter().all(|part| parts.iter().filter(|other| other.label == part.label).count() == 1);
    unique.then_some(Layout(axes))
}

/// The values of a sum that the weights weigh, and the layout of its result.
fn weighted(
    view: View<'_>,
    sum: &TypedNode,
    weights: OutletId,
    labels: [char; 4],
) -> Option<((OutletId, Layout), Layout)> {
    let op = sum.op_as::<EinSum>().filter(|op| op.q_params.is_none())?;
    let slot = sum.inputs.iter().position(|input| *input == weights)?;
    let &[first, second] = &*sum.inputs else { return None };
    let (values, other) = if slot == 0 { (second, 1) } else { (first, 0) };
    let shape = view.floats(values)?;
    let output_shape = view.floats(OutletId::new(sum.id, 0))?;
    let mut axes = vec![vec![]; shape.rank()];
    let mut output = vec![vec![]; output_shape.rank()];
    for axis in op.axes.iter_all_axes() {
        let in_weights = match &*axis.inputs[slot] {
            &[at] => Some(*labels.get(at)?),
            [] => None,
            _ => return None,
        };
        let (in_values, out) = (axis.inputs[other].first().copied(), axis.outputs[0].first().copied());
        let label = match (in_weights, in_values, out) {
            (Some(KEY), Some(_), None) => KEY,
            (Some(label @ (BATCH | HEAD)), Some(_), Some(_)) => label,
            (Some(QUERY), None, Some(_)) => QUERY,
            (None, Some(_), Some(_)) => WIDTH,
            (None, Some(at), None) if shape[at].is_one() => continue,
            _ => return None,
        };
        if let Some(at) = in_values {
            axes[at] = vec![Part { label, size: shape[at].clone() }];
        }
        if let Some(at) = out {
            output[at] = vec![Part { label, size: output_shape[at].clone() }];
        }
    }
    let width = output.iter().flatten().filter(|part| part.label == WIDTH).count();
    (width == 1 && output.len() == 4).then_some(((values, Layout(axes)), Layout(output)))
}

fn wire(view: View<'_>, found: Found<'_>) -> TractResult<Option<TypedModelPatch>> {
    let Found { sum, scores, operands, values, output, .. } = &found;
    let sized = |layout: &Layout, label: char| layout.0.iter().flatten().find(|part| part.label == label).cloned();
    let rows = |layout: &Layout, tokens: char| {
        Some(Layout(vec![
            vec![sized(layout, BATCH)?],
            vec![sized(layout, tokens)?],
            vec![sized(layout, HEAD)?, sized(layout, WIDTH)?],
        ]))
    };
    let head = sized(&operands.queries.1, HEAD).and_then(|part| part.size.to_usize().ok());
    let width = sized(&operands.queries.1, WIDTH).and_then(|part| part.size.to_usize().ok());
    rule_if_some!((heads, head_width) = head.zip(width));
    let whole = |layout: &Layout| {
        sized(layout, HEAD).is_some_and(|part| part.size == heads.to_dim())
            && sized(layout, WIDTH).is_some_and(|part| part.size == head_width.to_dim())
    };
    rule_if!(whole(&operands.keys.1) && whole(&values.1));
    let sized_alike = |one: &Layout, other: &Layout, label: char| {
        sized(one, label).map(|part| part.size) == sized(other, label).map(|part| part.size)
    };
    rule_if!(sized_alike(&operands.queries.1, &operands.keys.1, BATCH));
    rule_if!(sized_alike(&operands.keys.1, &values.1, BATCH) && sized_alike(&operands.keys.1, &values.1, KEY));

    let mut scale = scores.scale;
    let mut draft = Draft::new(view, &sum.name, &[OutletId::new(sum.id, 0)]);
    let mut inputs = tvec!();
    for ((outlet, layout), tokens, factors) in [
        (&operands.queries, QUERY, Factors::Passed),
        (&operands.keys, KEY, Factors::Passed),
        (values, KEY, Factors::Kept),
    ] {
        rule_if_some!(wanted = rows(layout, tokens));
        let source = origin(view, *outlet, layout.clone(), &wanted, factors);
        scale *= source.scale;
        let tap = draft.tap(source.outlet)?;
        inputs.push(arrange(&mut draft, tap, &source.layout, &wanted)?);
    }
    let masks = masks(view, &mut draft, &found)?;
    let op = Attention {
        heads,
        head_width,
        scale,
        causal: false,
        window: None,
        rotary: None,
        fused: false,
        masks: masks.len(),
    };
    inputs.extend(masks);
    rule_if_some!(rows = rows(output, QUERY));
    let y = draft.wire(op, &inputs)?;
    let y = arrange(&mut draft, y, &rows, output)?;
    draft.replace(OutletId::new(sum.id, 0), y)
}

/// The terms of scores as at most two masks `[batch, heads, queries, keys]`.
fn masks(view: View<'_>, draft: &mut Draft<'_>, found: &Found<'_>) -> TractResult<Vec<OutletId>> {
    let Found { scores, shape, labels, .. } = found;
    let named = |sizes: &[TDim], order: [char; 4]| {
        let part =
            |label: char| labels.iter().position(|own| *own == label).map(|at| Part { label, size: sizes[at].clone() });
        Layout(order.into_iter().map(|label| part(label).into_iter().collect()).collect())
    };
    let mut addends: Vec<OutletId> = Vec::new();
    let mut masks = Vec::new();
    for term in &scores.terms {
        match term {
            Term::Added(mask) => addends.push(*mask),
            Term::Hidden { condition, when } => {
                let condition = draft.tap(*condition)?;
                let mut number = |number: f32| {
                    let tensor = Tensor::from_shape(&[1; 4], &[number])?;
                    draft.aside("mask", Const::new(tensor.into_arc_tensor())?, &[])
                };
                let (hidden, shown) = (number(f32::MIN)?, number(0.0)?);
                let (then, otherwise) = if *when { (hidden, shown) } else { (shown, hidden) };
                masks.push(draft.aside("mask", Iff, &[condition, then, otherwise])?);
            }
        }
    }
    if let ([mask], true) = (&*addends, masks.is_empty())
        && let Some(parts) = view.binary::<Add>(view.node(*mask))
    {
        addends = parts.to_vec();
    }
    for mask in addends {
        masks.push(draft.tap(mask)?);
    }
    let mut arranged = Vec::new();
    for mask in masks {
        let fact = draft.fact(mask)?;
        ensure!(fact.rank() == shape.rank() && fact.datum_type == f32::datum_type(), "a mask of {fact:?}");
        let sizes: Vec<TDim> = fact.shape.iter().cloned().collect();
        let (from, wanted) = (named(&sizes, *labels), named(&sizes, [BATCH, HEAD, QUERY, KEY]));
        arranged.push(arrange(draft, mask, &from, &wanted)?);
    }
    while arranged.len() > 2 {
        let (Some(left), Some(right)) = (arranged.pop(), arranged.pop()) else { break };
        arranged.push(draft.aside("masks", add(), &[left, right])?);
    }
    Ok(arranged)
}
