//! Which axes of a tensor are which, followed through the operators that only move them.

use tract_core::internal::*;
use tract_core::ops::change_axes::AxisOp;

use super::view::{Draft, View};

/// An axis under the name that a matcher gives it.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) label: char,
    pub(super) size: TDim,
}

impl PartialEq for Part {
    fn eq(&self, other: &Part) -> bool {
        self.label == other.label
    }
}

/// The axes of a tensor, each a product of parts in row-major order; one of no parts has the size 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout(pub(super) Vec<Vec<Part>>);

impl Layout {
    /// The layout before an operator, given the one after it.
    fn before(&self, op: &AxisOp) -> Option<Layout> {
        let mut axes = self.0.clone();
        match op {
            AxisOp::Add(at) => {
                axes.get(*at).filter(|parts| parts.is_empty())?;
                axes.remove(*at);
            }
            AxisOp::Rm(at) => axes.insert((*at <= axes.len()).then_some(*at)?, vec![]),
            AxisOp::Move(from, to) => {
                axes.get(*from.max(to))?;
                let moved = axes.remove(*to);
                axes.insert(*from, moved);
            }
            AxisOp::Reshape(at, from, to) => {
                let mut parts = axes.get(*at..at + to.len())?.concat().into_iter();
                let mut regrouped = Vec::new();
                for size in from {
                    let mut product = TDim::Val(1);
                    let mut group = Vec::new();
                    while product != *size {
                        let part = parts.next()?;
                        product = (product * &part.size).simplify();
                        group.push(part);
                    }
                    regrouped.push(group);
                }
                if parts.next().is_some() {
                    return None;
                }
                axes.splice(*at..at + to.len(), regrouped);
            }
        }
        Some(Layout(axes))
    }

    /// Whether the parts that have a size follow each other as in `other`, so that no number has to move.
    pub(super) fn in_order_of(&self, other: &Layout) -> bool {
        let sized =
            |layout: &Layout| layout.parts().filter(|part| !part.size.is_one()).map(|part| part.label).collect();
        let [own, others]: [Vec<char>; 2] = [self, other].map(sized);
        own == others
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.0.iter().flatten()
    }
}

fn product(parts: &[Part]) -> TDim {
    parts.iter().fold(TDim::Val(1), |product, part| product * &part.size).simplify()
}

/// A tensor that holds the same numbers as another, up to the order of its axes and a factor.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) outlet: OutletId,
    pub(super) layout: Layout,
    /// What the numbers are multiplied by on the way.
    pub(super) scale: f32,
}

/// Whether factors on the way are passed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Factors {
    Passed,
    Kept,
}

/// Where a tensor of this layout comes from: the farthest outlet back that has the `wanted` layout, else just the farthest.
pub(super) fn origin(view: View<'_>, outlet: OutletId, layout: Layout, wanted: &Layout, factors: Factors) -> Origin {
    let mut here = Origin { outlet, layout, scale: 1.0 };
    let mut best = here.clone();
    loop {
        if here.layout == *wanted || best.layout != *wanted {
            best = here.clone();
        }
        let node = view.node(here.outlet);
        if let (Some(op), Some(&input)) = (node.op_as::<AxisOp>(), node.inputs.first()) {
            let Some(layout) = here.layout.before(op) else { break };
            here = Origin { outlet: input, layout, ..here };
        } else if let (Factors::Passed, Some((input, factor))) = (factors, view.scaled(here.outlet)) {
            if view.fact(input).map(TypedFact::rank) != Some(here.layout.0.len())
                || !same_shape(view, input, here.outlet)
            {
                break;
            }
            here = Origin { outlet: input, scale: here.scale * factor, ..here };
        } else {
            break;
        }
    }
    best
}

/// Whether two outlets have the same shape.
pub(super) fn same_shape(view: View<'_>, one: OutletId, other: OutletId) -> bool {
    matches!((view.fact(one), view.fact(other)), (Some(one), Some(other)) if one.shape == other.shape)
}

/// Wires an outlet of a patch into another layout of the same parts.
pub(super) fn arrange(
    draft: &mut Draft<'_>,
    mut outlet: OutletId,
    from: &Layout,
    wanted: &Layout,
) -> TractResult<OutletId> {
    if from == wanted {
        return Ok(outlet);
    }
    let mut axes = from.0.clone();
    for at in (0..axes.len()).rev() {
        let sizes: TVec<TDim> = axes[at].iter().map(|part| part.size.clone()).collect();
        match sizes.len() {
            0 => {
                outlet = draft.aside("axes", AxisOp::Rm(at), &[outlet])?;
                axes.remove(at);
            }
            1 => {}
            _ => {
                outlet = draft.aside("axes", AxisOp::Reshape(at, tvec!(product(&axes[at])), sizes), &[outlet])?;
                let parts = axes.remove(at);
                axes.splice(at..at, parts.into_iter().map(|part| vec![part]));
            }
        }
    }
    let mut axes: Vec<Part> = axes.into_iter().flatten().collect();
    for (to, part) in wanted.parts().enumerate() {
        let at = axes.iter().position(|axis| axis == part).context("a layout of other axes")?;
        if at != to {
            outlet = draft.aside("axes", AxisOp::Move(at, to), &[outlet])?;
            let moved = axes.remove(at);
            axes.insert(to, moved);
        }
    }
    for (at, group) in wanted.0.iter().enumerate() {
        match group.len() {
            0 => outlet = draft.aside("axes", AxisOp::Add(at), &[outlet])?,
            1 => {}
            _ => {
                let sizes = group.iter().map(|part| part.size.clone()).collect();
                outlet = draft.aside("axes", AxisOp::Reshape(at, sizes, tvec!(product(group))), &[outlet])?;
            }
        }
    }
    Ok(outlet)
}
