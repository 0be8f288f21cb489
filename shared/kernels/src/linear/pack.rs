//! From rows of weights to panels, and back.

use super::{GROUP, PANEL, volume};

/// An int8 layer's weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Int8 {
    /// `[panel][input / 4][PANEL][4]`
    pub values: Vec<i8>,
    /// What each output's values are multiplied with; padded to whole panels.
    pub scales: Vec<f32>,
    /// The sum of each output's values; padded to whole panels.
    pub sums: Vec<f32>,
}

/// Where the weight of an output and an input lies in `[panel][input][PANEL]`.
pub(crate) fn float_index(inputs: usize, output: usize, input: usize) -> usize {
    (output / PANEL * inputs + input) * PANEL + output % PANEL
}

/// Where it lies in `[panel][input / 4][PANEL][4]`.
pub(crate) fn int8_index(inputs: usize, output: usize, input: usize) -> usize {
    let groups = inputs.div_ceil(GROUP);
    ((output / PANEL * groups + input / GROUP) * PANEL + output % PANEL) * GROUP + input % GROUP
}

/// Panels of `weight`, which is `[outputs][inputs]`.
///
/// # Panics
/// If it has another length.
pub fn float(weight: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    assert_eq!(weight.len(), inputs * outputs);
    let mut panels = vec![0.0; volume(inputs, outputs, false)];
    for (output, row) in weight.chunks_exact(inputs).enumerate() {
        for (input, value) in row.iter().enumerate() {
            panels[float_index(inputs, output, input)] = *value;
        }
    }
    panels
}

/// The weights `[outputs][inputs]` of panels.
///
/// # Panics
/// If the panels have another length.
pub fn dense(panels: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    assert_eq!(panels.len(), volume(inputs, outputs, false));
    let at = |output, input| panels[float_index(inputs, output, input)];
    (0..outputs).flat_map(|output| (0..inputs).map(move |input| at(output, input))).collect()
}

/// Quantizes `weight`, which is `[outputs][inputs]`, symmetrically per output: the greatest becomes 127.
///
/// # Panics
/// If it has another length.
pub fn int8(weight: &[f32], inputs: usize, outputs: usize) -> Int8 {
    assert_eq!(weight.len(), inputs * outputs);
    let padded = outputs.next_multiple_of(PANEL);
    let mut packed =
        Int8 { values: vec![0; volume(inputs, outputs, true)], scales: vec![0.0; padded], sums: vec![0.0; padded] };
    for (output, row) in weight.chunks_exact(inputs).enumerate() {
        let (scale, values) = quantize(row);
        packed.scales[output] = scale;
        packed.sums[output] = values.iter().map(|value| i32::from(*value)).sum::<i32>() as f32;
        for (input, value) in values.into_iter().enumerate() {
            packed.values[int8_index(inputs, output, input)] = value;
        }
    }
    packed
}

/// The weights `[outputs][inputs]` that an int8 layer stands for.
///
/// # Panics
/// If the layer has another size.
pub fn dense_int8(values: &[i8], scales: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    assert_eq!(values.len(), volume(inputs, outputs, true));
    let at = |output: usize, input| f32::from(values[int8_index(inputs, output, input)]) * scales[output];
    (0..outputs).flat_map(|output| (0..inputs).map(move |input| at(output, input))).collect()
}

/// A row as whole numbers from -127 to 127, and the scale that gives it back.
pub fn quantize(row: &[f32]) -> (f32, Vec<i8>) {
    let greatest = row.iter().fold(0f32, |greatest, value| greatest.max(value.abs()));
    let scale = greatest / 127.0;
    if !scale.is_normal() {
        return (0.0, vec![0; row.len()]);
    }
    (scale, row.iter().map(|value| (value / scale).round().clamp(-127.0, 127.0) as i8).collect())
}

/// Numbers for each output, padded to whole panels.
pub fn padded(values: &[f32]) -> Vec<f32> {
    let mut padded = values.to_vec();
    padded.resize(values.len().next_multiple_of(PANEL), 0.0);
    padded
}
