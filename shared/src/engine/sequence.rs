//! What one sequence of a language model has read: its keys and values, in blocks.

use std::sync::Arc;

use emberlite_kernels::cache::{BLOCK_TOKENS, Block, CacheFormat, Extent, Room};

/// What the blocks of a model's caches are like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CacheShape {
    /// Where each layer's keys and values are in a block.
    pub(super) rooms: Arc<[Room]>,
    /// How much a block has.
    pub(super) extent: Extent,
}

impl CacheShape {
    /// How many bytes a block has.
    pub(super) fn block_bytes(&self, format: CacheFormat) -> usize {
        format.bytes(self.extent)
    }
}

/// The keys and values of what one sequence has read.
///
/// They lie in blocks of tokens, which forks share until one of them writes there.
#[derive(Clone, Debug)]
pub struct Sequence {
    pub(super) shape: CacheShape,
    format: CacheFormat,
    blocks: Vec<Arc<Block>>,
    len: usize,
}

impl Sequence {
    pub(super) fn new(shape: CacheShape, format: CacheFormat) -> Self {
        Self { shape, format, blocks: Vec::new(), len: 0 }
    }

    /// How many tokens it has read.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has read none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How keys and values are written down.
    pub fn format(&self) -> CacheFormat {
        self.format
    }

    /// Forgets all but the first `len` tokens. A shorter sequence stays as it is.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
            self.blocks.truncate(len.div_ceil(BLOCK_TOKENS));
        }
    }

    /// A sequence that has read the first `len` tokens of this one, or all of a shorter one. What both have read they share.
    pub fn fork(&self, len: usize) -> Self {
        let mut fork = self.clone();
        fork.truncate(len);
        fork
    }

    /// How many bytes the cache has, shared ones included.
    pub fn bytes(&self) -> usize {
        self.blocks.len() * self.shape.block_bytes(self.format)
    }

    /// Gives the blocks away, with room of its own for `tokens` more.
    pub(super) fn lend(&mut self, tokens: usize) -> Vec<Arc<Block>> {
        let mut blocks = std::mem::take(&mut self.blocks);
        if !self.len.is_multiple_of(BLOCK_TOKENS) && tokens > 0 {
            let last = &mut blocks[self.len / BLOCK_TOKENS];
            if Arc::get_mut(last).is_none() {
                *last = Arc::new(Block::clone(last));
            }
        }
        let needed = (self.len + tokens).div_ceil(BLOCK_TOKENS);
        blocks.resize_with(needed.max(blocks.len()), || Arc::new(Block::new(self.format, self.shape.extent)));
        blocks
    }

    /// Takes the blocks back, with so many more tokens in them.
    pub(super) fn take_back(&mut self, blocks: Vec<Arc<Block>>, tokens: usize) {
        self.blocks = blocks;
        self.len += tokens;
        self.blocks.truncate(self.len.div_ceil(BLOCK_TOKENS));
    }
}
