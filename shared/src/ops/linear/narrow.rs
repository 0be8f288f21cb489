//! Layers in the package whose panels are padding in good part: they are written without it, and padded when they are read.

use std::ops::Range;

use emberlite_kernels::linear::PANEL;
use tract_nnef::internal::*;

use super::{WeightFormat, Weights};

/// Whether a quarter of the panels, or more, is padding.
fn is_narrow(outputs: usize) -> bool {
    let padded = outputs.next_multiple_of(PANEL);
    (padded - outputs) * 4 >= padded
}

/// The weights without padding, of a layer that is narrow: `[panels, inputs, 48, ..]` becomes `[inputs, outputs, ..]`.
pub(super) fn cut(weights: &Weights, format: WeightFormat, outputs: usize) -> TractResult<Option<Tensor>> {
    let [_, inputs, PANEL, group @ ..] = weights.shape() else { return Ok(None) };
    if format == WeightFormat::Q4 || !is_narrow(outputs) {
        return Ok(None);
    }
    let shape: TVec<usize> = [&[*inputs, outputs], group].concat().into();
    let unit = weights.datum_type().size_of() * group.iter().product::<usize>();
    let mut tensor = Tensor::zero_dt(weights.datum_type(), &shape)?;
    let rows = tensor.as_bytes_mut();
    for_each_run(*inputs, outputs, unit, |panel, row| rows[row].copy_from_slice(&weights.bytes()[panel]));
    Ok(Some(tensor))
}

/// The weights in panels, if they were written without padding.
pub(super) fn whole(weights: Weights, outputs: usize) -> TractResult<Weights> {
    let datum_type = weights.datum_type();
    let (inputs, group) = match *weights.shape() {
        [inputs, width] if width == outputs => (inputs, None),
        [inputs, width, group] if width == outputs && datum_type == i8::datum_type() => (inputs, Some(group)),
        _ => return Ok(weights),
    };
    ensure!(is_narrow(outputs), "expected whole panels for {outputs} outputs");
    let shape: TVec<usize> = [outputs.div_ceil(PANEL), inputs, PANEL].into_iter().chain(group).collect();
    let sizes = (inputs, outputs, group.unwrap_or(1));
    Ok(match datum_type {
        DatumType::F32 => Weights::owned(&shape, panels(weights.values::<f32>(), sizes)),
        DatumType::I8 => Weights::owned(&shape, panels(weights.values::<i8>(), sizes)),
        DatumType::F16 => Weights::halves(&shape, panels(weights.bits(), sizes)),
        _ => Weights::owned(&shape, panels(weights.bits(), sizes)),
    })
}

fn panels<T: Copy + Default>(rows: &[T], (inputs, outputs, unit): (usize, usize, usize)) -> Vec<T> {
    let mut panels = vec![T::default(); outputs.next_multiple_of(PANEL) * inputs * unit];
    if rows.len() == inputs * outputs * unit {
        for_each_run(inputs, outputs, unit, |panel, row| panels[panel].copy_from_slice(&rows[row]));
    }
    panels
}

/// Tells where each run of neighbouring outputs lies in panels and in rows, an output of an input `unit` elements long.
fn for_each_run(inputs: usize, outputs: usize, unit: usize, mut each: impl FnMut(Range<usize>, Range<usize>)) {
    for (panel, first) in (0..outputs).step_by(PANEL).enumerate() {
        let length = (outputs - first).min(PANEL) * unit;
        for input in 0..inputs {
            let (in_panel, in_row) = ((panel * inputs + input) * PANEL * unit, (input * outputs + first) * unit);
            each(in_panel..in_panel + length, in_row..in_row + length);
        }
    }
}
