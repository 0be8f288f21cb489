//! Weights of 4 bits in blocks: how numbers are rounded to them, and how they lie in panels.
//!
//! A block is [`BLOCK`] inputs of an output: whole numbers from 0 to 15, less 8, times a scale in half precision, as in
//! Q4_0. A panel is [`PANEL`] outputs; `[panel][block]` are [`BYTES`] bytes each: `[4][PANEL][4]` bytes of values, the low
//! halves of which hold inputs `8 * i` to `8 * i + 3` of the block, the high halves the four after; then the outputs'
//! scales. What is missing to a block or a panel has the value 8 and the scale 0.

use half::f16;

/// How many inputs share a scale.
pub const BLOCK: usize = 32;
/// How many outputs a panel has.
pub const PANEL: usize = 16;
/// How many bytes a block of a panel has.
pub const BYTES: usize = SCALES + PANEL * 2;
/// Where the scales are in them.
pub(super) const SCALES: usize = PANEL * BLOCK / 2;
/// The value that stands for zero.
pub const ZERO: u8 = 8;

/// How many bytes the weights of a layer have.
pub fn volume(inputs: usize, outputs: usize) -> usize {
    outputs.div_ceil(PANEL) * inputs.div_ceil(BLOCK) * BYTES
}

/// Rows of weights as they are before they are laid out.
#[derive(Clone, Debug, PartialEq)]
pub struct Rounded {
    /// `[outputs][inputs / 32]`
    pub scales: Vec<f16>,
    /// `[outputs][inputs]`, each from 0 to 15.
    pub values: Vec<u8>,
}

/// Rounds `weight`, which is `[outputs][inputs]`, as Q4_0 does: of each block, the number farthest from zero becomes -8.
///
/// # Panics
/// If it is not whole rows.
pub fn round(weight: &[f32], inputs: usize) -> Rounded {
    assert!(inputs > 0 && weight.len().is_multiple_of(inputs));
    let blocks = weight.chunks_exact(inputs).flat_map(|row| row.chunks(BLOCK));
    let mut rounded = Rounded { scales: Vec::new(), values: Vec::with_capacity(weight.len()) };
    for block in blocks {
        let farthest = block.iter().fold(0f32, |far, x| if x.abs() > far.abs() { *x } else { far });
        let scale = farthest / -8.0;
        let factor = if scale.is_normal() { 1.0 / scale } else { 0.0 };
        rounded.scales.push(f16::from_f32(scale));
        rounded.values.extend(block.iter().map(|x| (x * factor + 8.5).clamp(0.0, 15.0) as u8));
    }
    rounded
}

/// Where the value of an output and an input lies, and by how many bits it is shifted.
fn place(inputs: usize, output: usize, input: usize) -> (usize, u32) {
    let within = input % BLOCK;
    let byte = (within / 8 * PANEL + output % PANEL) * 4 + within % 4;
    (start(inputs, output, input / BLOCK) + byte, if within % 8 < 4 { 0 } else { 4 })
}

/// Where the scale of an output's block lies.
fn scale_place(inputs: usize, output: usize, block: usize) -> usize {
    start(inputs, output, block) + SCALES + output % PANEL * 2
}

fn start(inputs: usize, output: usize, block: usize) -> usize {
    (output / PANEL * inputs.div_ceil(BLOCK) + block) * BYTES
}

/// Panels of rounded weights.
///
/// # Panics
/// If they have not the length that the sizes say.
pub fn pack(rounded: &Rounded, inputs: usize, outputs: usize) -> Vec<u8> {
    let blocks = inputs.div_ceil(BLOCK);
    assert!(rounded.values.len() == inputs * outputs && rounded.scales.len() == blocks * outputs);
    let mut panels = vec![ZERO | ZERO << 4; volume(inputs, outputs)];
    for block in panels.chunks_exact_mut(BYTES) {
        block[SCALES..].fill(0);
    }
    for output in 0..outputs {
        for (block, scale) in rounded.scales[output * blocks..(output + 1) * blocks].iter().enumerate() {
            let at = scale_place(inputs, output, block);
            panels[at..at + 2].copy_from_slice(&scale.to_bits().to_le_bytes());
        }
        for (input, value) in rounded.values[output * inputs..(output + 1) * inputs].iter().enumerate() {
            let (at, shift) = place(inputs, output, input);
            panels[at] = panels[at] & !(15 << shift) | (value & 15) << shift;
        }
    }
    panels
}

/// What was packed.
///
/// # Panics
/// If the panels have not the length that the sizes say.
pub fn unpack(panels: &[u8], inputs: usize, outputs: usize) -> Rounded {
    assert_eq!(panels.len(), volume(inputs, outputs));
    let scale = |output, block| read_scale(panels, inputs, output, block);
    let value = |output, input| read_value(panels, inputs, output, input);
    let blocks = inputs.div_ceil(BLOCK);
    Rounded {
        scales: (0..outputs).flat_map(|output| (0..blocks).map(move |block| scale(output, block))).collect(),
        values: (0..outputs).flat_map(|output| (0..inputs).map(move |input| value(output, input))).collect(),
    }
}

/// The scale of an output's block.
pub(crate) fn read_scale(panels: &[u8], inputs: usize, output: usize, block: usize) -> f16 {
    let at = scale_place(inputs, output, block);
    f16::from_le_bytes([panels[at], panels[at + 1]])
}

/// The value of an output and an input, from 0 to 15.
pub(crate) fn read_value(panels: &[u8], inputs: usize, output: usize, input: usize) -> u8 {
    let (at, shift) = place(inputs, output, input);
    panels[at] >> shift & 15
}

/// The weights `[outputs][inputs]` that panels stand for.
///
/// # Panics
/// If the panels have not the length that the sizes say.
pub fn dense(panels: &[u8], inputs: usize, outputs: usize) -> Vec<f32> {
    let Rounded { scales, values } = unpack(panels, inputs, outputs);
    let scales = scales.chunks_exact(inputs.div_ceil(BLOCK));
    let rows = values.chunks_exact(inputs).zip(scales);
    let number = |value: &u8, scale: f16| (f32::from(*value) - f32::from(ZERO)) * scale.to_f32();
    rows.flat_map(|(row, scales)| row.iter().enumerate().map(|(i, value)| number(value, scales[i / BLOCK]))).collect()
}
