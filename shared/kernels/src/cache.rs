//! The memory of keys and values: blocks of tokens, as [`crate::CausalAttention`] reads them.
//!
//! A block holds [`BLOCK_TOKENS`] tokens of every layer, one [`Room`] after the other. Per head of keys a room is
//! `[head_width][BLOCK_TOKENS]` keys, so that as many of them meet a query at once, then `[BLOCK_TOKENS][padded width]`
//! values. What is kept in 8 bits has a scale for each key and each value of a token, beside the numbers.

use crate::lanes::{Half, Narrow, WIDEST};

/// How many tokens a block holds.
pub const BLOCK_TOKENS: usize = 32;

/// How keys and values are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheFormat {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// Whole numbers from -127 to 127, times a scale of the key or the value.
    Int8,
}

impl CacheFormat {
    /// How many bytes a block of this extent has.
    pub fn bytes(self, extent: Extent) -> usize {
        match self {
            Self::F32 => size_of::<f32>() * extent.numbers,
            Self::F16 => size_of::<u16>() * extent.numbers,
            Self::Int8 => extent.numbers + size_of::<f32>() * extent.scales(),
        }
    }
}

/// How much a block has, or what stands in it before a [`Room`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Numbers of keys and values.
    pub numbers: usize,
    /// Heads of keys, and as many of values.
    pub heads: usize,
}

impl Extent {
    /// A scale for each key and each value of a token.
    fn scales(self) -> usize {
        self.heads * 2 * BLOCK_TOKENS
    }
}

/// The keys and values of [`BLOCK_TOKENS`] tokens in every layer.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Single precision.
    F32(Box<[f32]>),
    /// Half precision, as bits.
    F16(Box<[u16]>),
    /// Whole numbers with their scales.
    Int8 {
        /// From -127 to 127.
        numbers: Box<[i8]>,
        /// By what they are to be multiplied, `[heads][keys, values][BLOCK_TOKENS]`.
        scales: Box<[f32]>,
    },
}

impl Block {
    /// A block of this extent, all zero.
    pub fn new(format: CacheFormat, extent: Extent) -> Self {
        match format {
            CacheFormat::F32 => Self::F32(vec![0.0; extent.numbers].into()),
            CacheFormat::F16 => Self::F16(vec![0; extent.numbers].into()),
            CacheFormat::Int8 => {
                Self::Int8 { numbers: vec![0; extent.numbers].into(), scales: vec![0.0; extent.scales()].into() }
            }
        }
    }

    /// Whether it has at least this extent.
    pub(crate) fn reaches(&self, extent: Extent) -> bool {
        match self {
            Self::F32(numbers) => numbers.len() >= extent.numbers,
            Self::F16(numbers) => numbers.len() >= extent.numbers,
            Self::Int8 { numbers, scales } => numbers.len() >= extent.numbers && scales.len() >= extent.scales(),
        }
    }

    /// How the numbers are written down.
    pub fn format(&self) -> CacheFormat {
        match self {
            Self::F32(_) => CacheFormat::F32,
            Self::F16(_) => CacheFormat::F16,
            Self::Int8 { .. } => CacheFormat::Int8,
        }
    }
}

/// Elements that a block is made of.
pub(crate) trait Cached: Narrow {
    /// Whether each key and each value has a scale.
    const SCALED: bool;

    /// The numbers of a block of this format; null for another.
    fn of(block: &Block) -> *const Self;
}

/// The scales of a block whose numbers are [`Cached::SCALED`]; null for another.
pub(crate) fn scales_of(block: &Block) -> *const f32 {
    match block {
        Block::Int8 { scales, .. } => scales.as_ptr(),
        Block::F32(_) | Block::F16(_) => std::ptr::null(),
    }
}

impl Cached for f32 {
    const SCALED: bool = false;

    fn of(block: &Block) -> *const Self {
        match block {
            Block::F32(numbers) => numbers.as_ptr(),
            Block::F16(_) | Block::Int8 { .. } => std::ptr::null(),
        }
    }
}

impl Cached for Half {
    const SCALED: bool = false;

    fn of(block: &Block) -> *const Self {
        match block {
            Block::F16(numbers) => numbers.as_ptr().cast(),
            Block::F32(_) | Block::Int8 { .. } => std::ptr::null(),
        }
    }
}

impl Cached for i8 {
    const SCALED: bool = true;

    fn of(block: &Block) -> *const Self {
        match block {
            Block::Int8 { numbers, .. } => numbers.as_ptr(),
            Block::F32(_) | Block::F16(_) => std::ptr::null(),
        }
    }
}

/// Where a layer's keys and values lie in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Room {
    /// What stands before it.
    pub start: Extent,
    /// How many heads of keys, and as many of values.
    pub key_heads: usize,
    /// How many numbers a head has.
    pub head_width: usize,
}

impl Room {
    /// What stands before the room after it.
    pub fn end(&self) -> Extent {
        Extent { numbers: self.keys(self.key_heads), heads: self.start.heads + self.key_heads }
    }

    fn head(&self) -> usize {
        BLOCK_TOKENS * (self.head_width + self.value_stride())
    }

    /// From one value to the next.
    pub(crate) fn value_stride(&self) -> usize {
        self.head_width.next_multiple_of(WIDEST)
    }

    /// Where a head's keys start.
    pub(crate) fn keys(&self, head: usize) -> usize {
        self.start.numbers + head * self.head()
    }

    /// Where a head's values start.
    pub(crate) fn values(&self, head: usize) -> usize {
        self.keys(head) + BLOCK_TOKENS * self.head_width
    }

    /// Where the scales of a head's keys start.
    pub(crate) fn key_scales(&self, head: usize) -> usize {
        (self.start.heads + head) * 2 * BLOCK_TOKENS
    }

    /// Where the scales of a head's values start.
    pub(crate) fn value_scales(&self, head: usize) -> usize {
        self.key_scales(head) + BLOCK_TOKENS
    }
}
