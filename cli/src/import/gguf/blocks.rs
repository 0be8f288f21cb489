//! The types of weights in a GGUF file: blocks of whole numbers with their scales, and how they become numbers.

use emberlite::ops::Q4Blocks;
use half::{bf16, f16};

/// How weights are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub(super) enum Kind {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4_K,
    Q5_K,
    Q6_K,
}

/// Every type that is read, with its number in the file.
const KINDS: [(Kind, u32); 11] = [
    (Kind::F32, 0),
    (Kind::F16, 1),
    (Kind::Q4_0, 2),
    (Kind::Q4_1, 3),
    (Kind::Q5_0, 6),
    (Kind::Q5_1, 7),
    (Kind::Q8_0, 8),
    (Kind::Q4_K, 12),
    (Kind::Q5_K, 13),
    (Kind::Q6_K, 14),
    (Kind::BF16, 30),
];
/// Types that are known by name alone.
const OTHERS: [(u32, &str); 17] = [
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
];

/// How many weights share a scale in the simple types, and in those ending in K.
const SMALL: usize = 32;
const LARGE: usize = 256;

impl Kind {
    /// The type with this number, or the name of one that is not read.
    pub(super) fn from_number(number: u32) -> Result<Self, String> {
        let name = || OTHERS.iter().find(|(known, _)| *known == number).map(|(_, name)| (*name).to_owned());
        let found = KINDS.iter().find(|(_, known)| *known == number).map(|(kind, _)| *kind);
        found.ok_or_else(|| name().unwrap_or_else(|| format!("number {number}")))
    }

    /// The names of all.
    pub(super) fn names() -> String {
        KINDS.map(|(kind, _)| format!("{kind:?}")).join(", ")
    }

    /// The weights of a block and its bytes.
    fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Q4_0 => (SMALL, 18),
            Self::Q4_1 => (SMALL, 20),
            Self::Q5_0 => (SMALL, 22),
            Self::Q5_1 => (SMALL, 24),
            Self::Q8_0 => (SMALL, 34),
            Self::Q4_K => (LARGE, 144),
            Self::Q5_K => (LARGE, 176),
            Self::Q6_K => (LARGE, 210),
        }
    }

    /// How many bytes a tensor has; `None` where its rows are no whole blocks.
    pub(super) fn bytes(self, shape: &[usize]) -> Option<usize> {
        let (weights, bytes) = self.block();
        let volume = shape.iter().try_fold(1usize, |volume, size| volume.checked_mul(*size))?;
        let whole = shape.last().copied().unwrap_or(1).is_multiple_of(weights);
        if whole { (volume / weights).checked_mul(bytes) } else { None }
    }

    /// The numbers of a tensor, given its bytes.
    pub(super) fn dense(self, bytes: &[u8]) -> Vec<f32> {
        let (weights, size) = self.block();
        let mut dense = Vec::with_capacity(bytes.len() / size * weights);
        for block in bytes.chunks_exact(size) {
            self.widen(block, &mut dense);
        }
        dense
    }

    fn widen(self, block: &[u8], out: &mut Vec<f32>) {
        match self {
            Self::F32 => out.extend(block.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes))),
            Self::F16 => out.push(half_at(block, 0)),
            Self::BF16 => out.extend(block.as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32())),
            Self::Q8_0 => {
                let scale = half_at(block, 0);
                out.extend(block[2..].iter().map(|whole| f32::from(whole.cast_signed()) * scale));
            }
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 => self.widen_small(block, out),
            Self::Q4_K | Self::Q5_K => self.widen_large(block, out),
            Self::Q6_K => widen_six(block, out),
        }
    }

    /// A block of 32 with one scale, and perhaps a least value and a fifth bit.
    fn widen_small(self, block: &[u8], out: &mut Vec<f32>) {
        let scale = half_at(block, 0);
        let offset = matches!(self, Self::Q4_1 | Self::Q5_1);
        let five = matches!(self, Self::Q5_0 | Self::Q5_1);
        let (head, low) = block.split_at(block.len() - SMALL / 2);
        let high = head.last_chunk().filter(|_| five).map_or(0, |bits| u32::from_le_bytes(*bits));
        let zero = if five { 16.0 } else { 8.0 };
        let number = |place: usize| {
            let byte = low[place % 16];
            let nibble = if place < 16 { byte & 15 } else { byte >> 4 };
            let fifth = ((high >> place) & 1) as u8;
            f32::from(nibble | (fifth << 4))
        };
        out.extend((0..SMALL).map(|place| {
            if offset { number(place) * scale + half_at(block, 2) } else { (number(place) - zero) * scale }
        }));
    }

    /// A block of 256 in eight parts, each with a scale and a least value of 6 bits.
    fn widen_large(self, block: &[u8], out: &mut Vec<f32>) {
        let (scale, least) = (half_at(block, 0), half_at(block, 2));
        let (six, rest) = (&block[4..16], &block[16..]);
        let (high, low) = if self == Self::Q5_K { rest.split_at(32) } else { rest.split_at(0) };
        for part in 0..8 {
            let (multiplier, offset) = scales(six, part);
            let (multiplier, offset) = (scale * f32::from(multiplier), least * f32::from(offset));
            let bytes = &low[part / 2 * 32..][..32];
            out.extend(bytes.iter().enumerate().map(|(place, byte)| {
                let nibble = if part % 2 == 0 { byte & 15 } else { byte >> 4 };
                let fifth = high.get(place).map_or(0, |bits| (bits >> part) & 1);
                multiplier * f32::from(nibble | (fifth << 4)) - offset
            }));
        }
    }
}

/// The scale and the least value of a part, which are 6 bits each.
fn scales(six: &[u8], part: usize) -> (u8, u8) {
    if part < 4 {
        return (six[part] & 63, six[part + 4] & 63);
    }
    let (low, scale, least) = (six[part + 4], six[part - 4] >> 6, six[part] >> 6);
    ((low & 15) | (scale << 4), (low >> 4) | (least << 4))
}

/// A block of 256 in sixteen parts with a scale of 8 bits each.
fn widen_six(block: &[u8], out: &mut Vec<f32>) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let scale = half_at(block, 208);
    for place in 0..LARGE {
        let (half, quarter, within) = (place / 128, place % 128 / 32, place % 32);
        let byte = low[half * 64 + quarter % 2 * 32 + within];
        let nibble = if quarter < 2 { byte & 15 } else { byte >> 4 };
        let bits = (high[half * 32 + within] >> (2 * quarter)) & 3;
        let whole = f32::from(nibble | (bits << 4)) - 32.0;
        let multiplier = f32::from(scales[half * 8 + quarter * 2 + within / 16].cast_signed());
        out.push(scale * multiplier * whole);
    }
}

/// The half-precision number at a place of a block.
fn half_at(block: &[u8], place: usize) -> f32 {
    f16::from_le_bytes([block[place], block[place + 1]]).to_f32()
}

/// A matrix in blocks of 4 bits, as it is in the file.
pub(super) fn q4(bytes: &[u8], outputs: usize, inputs: usize) -> Q4Blocks {
    let (mut scales, mut values) = (Vec::new(), Vec::with_capacity(outputs * inputs));
    for block in bytes.chunks_exact(18) {
        scales.push(f16::from_le_bytes([block[0], block[1]]));
        values.extend(block[2..].iter().map(|byte| byte & 15));
        values.extend(block[2..].iter().map(|byte| byte >> 4));
    }
    Q4Blocks { outputs, inputs, scales, values }
}
