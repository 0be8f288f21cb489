//! The memory of keys and values: blocks of tokens, as [`crate::CausalAttention`] reads them.
//!
//! A block holds [`BLOCK_TOKENS`] tokens of every layer, one [`Room`] after the other. Per head of keys a room is
//! `[head_width][BLOCK_TOKENS]` keys, so that as many of them meet a query at once, then `[BLOCK_TOKENS][padded width]`
//! values.

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
}

impl CacheFormat {
    /// How many bytes a number has.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// The keys and values of [`BLOCK_TOKENS`] tokens in every layer.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Single precision.
    F32(Box<[f32]>),
    /// Half precision, as bits.
    F16(Box<[u16]>),
}

impl Block {
    /// A block of so many numbers, all zero.
    pub fn new(format: CacheFormat, numbers: usize) -> Self {
        match format {
            CacheFormat::F32 => Self::F32(vec![0.0; numbers].into()),
            CacheFormat::F16 => Self::F16(vec![0; numbers].into()),
        }
    }

    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::F16(numbers) => numbers.len(),
        }
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How the numbers are written down.
    pub fn format(&self) -> CacheFormat {
        match self {
            Self::F32(_) => CacheFormat::F32,
            Self::F16(_) => CacheFormat::F16,
        }
    }
}

/// Elements that a block is made of.
pub(crate) trait Cached: Narrow {
    /// The numbers of a block of this format; null for another.
    fn of(block: &Block) -> *const Self;
}

impl Cached for f32 {
    fn of(block: &Block) -> *const Self {
        match block {
            Block::F32(numbers) => numbers.as_ptr(),
            Block::F16(_) => std::ptr::null(),
        }
    }
}

impl Cached for Half {
    fn of(block: &Block) -> *const Self {
        match block {
            Block::F16(numbers) => numbers.as_ptr().cast(),
            Block::F32(_) => std::ptr::null(),
        }
    }
}

/// Where a layer's keys and values lie in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Room {
    /// The first of its numbers.
    pub start: usize,
    /// How many heads of keys, and as many of values.
    pub key_heads: usize,
    /// How many numbers a head has.
    pub head_width: usize,
}

impl Room {
    /// How many numbers the layer has in a block.
    pub fn len(&self) -> usize {
        self.key_heads * self.head()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
        self.start + head * self.head()
    }

    /// Where a head's values start.
    pub(crate) fn values(&self, head: usize) -> usize {
        self.keys(head) + BLOCK_TOKENS * self.head_width
    }
}
