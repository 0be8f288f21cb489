//! An int8 layer without its empty blocks: which of them are left.

use std::borrow::Cow;

use emberlite_kernels::linear::GROUP;
use emberlite_kernels::linear::sparse::{Blocks, PANEL, Packed, count, pack, unpack};
use tract_nnef::internal::*;

use super::{Linear, WeightFormat, Weights};

/// Where the blocks of a layer belong.
///
/// In the package a `u16` list: how many blocks each panel of 16 outputs has, then of each block, panel by panel, the group
/// of four inputs that it meets.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Index {
    list: Weights,
    /// Where the blocks of each panel begin, and how many there are in all.
    starts: Vec<u32>,
}

impl Index {
    pub(super) fn new(packed: &Packed) -> Self {
        let counts = packed.starts.windows(2).map(|pair| (pair[1] - pair[0]) as u16);
        let list: Vec<u16> = counts.chain(packed.groups.iter().copied()).collect();
        Self { list: Weights::owned(&[list.len()], list), starts: packed.starts.clone() }
    }

    /// The index of a layer of so many outputs that a package has.
    pub(super) fn load(list: Weights, outputs: usize) -> TractResult<Self> {
        let counts = list.values::<u16>().get(..outputs.div_ceil(PANEL));
        let counts = counts.with_context(|| format!("expected u16 for {outputs} outputs, got {list:?}"))?;
        let mut starts = vec![0];
        let mut all = 0u32;
        for count in counts {
            all = all.checked_add(u32::from(*count)).context("too many blocks")?;
            starts.push(all);
        }
        Ok(Self { starts, list })
    }

    /// The list as it is in a package.
    pub(super) fn list(&self) -> &Weights {
        &self.list
    }

    /// How many blocks are left.
    pub(super) fn left(&self) -> usize {
        self.list.values::<u16>().len().saturating_sub(self.starts.len().saturating_sub(1))
    }

    /// The blocks with their values.
    pub(super) fn blocks<'a>(&'a self, values: &'a Weights) -> Blocks<'a> {
        let panels = self.starts.len().saturating_sub(1);
        let groups = self.list.values::<u16>().get(panels..).unwrap_or_default();
        Blocks { values: values.values(), groups, starts: &self.starts }
    }
}

impl Linear {
    /// The outputs and inputs of a block that is left out if it is empty.
    pub const BLOCK: (usize, usize) = (PANEL, GROUP);

    /// The same layer without the blocks of 16 outputs and 4 inputs that are empty, if it is in int8 and they are so many
    /// that it is faster without them: a quarter. Embeddings that were tied to it are no longer.
    pub fn without_empty_blocks(self) -> Self {
        let (inputs, outputs) = (self.inputs, self.outputs);
        if self.format != WeightFormat::Int8 || self.index.is_some() {
            return self;
        }
        let packed = pack(self.weights.values(), inputs, outputs);
        let (left, all) = (packed.groups.len(), count(inputs, outputs));
        if left == 0 || 4 * (all - left) < all {
            return self;
        }
        let index = Some(Index::new(&packed));
        Self { index, weights: Weights::owned(&[left, PANEL, GROUP], packed.values), ..self }
    }

    /// How many blocks of 16 outputs and 4 inputs are left, and how many there would be, of a layer without its empty ones.
    pub fn blocks(&self) -> Option<(usize, usize)> {
        self.index.as_ref().map(|index| (index.left(), count(self.inputs, self.outputs)))
    }

    /// The weights in panels of 48 or, in 4 bits, of 16 outputs.
    pub(super) fn panels(&self) -> Cow<'_, Weights> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let Some(index) = &self.index else { return Cow::Borrowed(&self.weights) };
        let shape = [outputs.div_ceil(super::PANEL), inputs.div_ceil(GROUP), super::PANEL, GROUP];
        Cow::Owned(Weights::owned(&shape, unpack(index.blocks(&self.weights), inputs, outputs)))
    }

    /// The weights in panels and the terms, which others may share.
    pub(in crate::ops) fn parts(&self) -> (Weights, Weights) {
        (self.panels().into_owned(), self.terms.clone())
    }
}
