//! int8 weights without their empty blocks: how they lie.
//!
//! A block is [`PANEL`] outputs of [`GROUP`] inputs. A panel of outputs has the blocks in which a weight is not zero, one
//! after the other by ascending inputs, and says of each which group of inputs it meets.

use super::pack::int8_index;
use super::{GROUP, MAX_INT8_INPUTS, volume};

/// How many outputs a panel has.
pub const PANEL: usize = 16;
/// How many weights a block has.
pub const BLOCK: usize = PANEL * GROUP;

/// The blocks of a layer in which a weight is not zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blocks<'a> {
    /// `[blocks][PANEL][4]`: whole numbers from -127 to 127.
    pub values: &'a [i8],
    /// `[blocks]`: the group of inputs that each meets, ascending within a panel.
    pub groups: &'a [u16],
    /// `[panels + 1]`: where the blocks of each panel begin, and how many there are in all.
    pub starts: &'a [u32],
}

/// As [`Blocks`], in memory of their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Packed {
    /// See [`Blocks::values`].
    pub values: Vec<i8>,
    /// See [`Blocks::groups`].
    pub groups: Vec<u16>,
    /// See [`Blocks::starts`].
    pub starts: Vec<u32>,
}

/// How many blocks a layer has, empty ones too.
pub fn count(inputs: usize, outputs: usize) -> usize {
    outputs.div_ceil(PANEL) * inputs.div_ceil(GROUP)
}

/// Leaves the empty blocks out of an int8 layer's panels.
///
/// # Panics
/// If the panels have not the length that the sizes say, or the layer has too many inputs for int8.
pub fn pack(values: &[i8], inputs: usize, outputs: usize) -> Packed {
    assert!(values.len() == volume(inputs, outputs, true) && inputs <= MAX_INT8_INPUTS);
    let mut packed = Packed { starts: vec![0], ..Packed::default() };
    for panel in 0..outputs.div_ceil(PANEL) {
        for group in 0..inputs.div_ceil(GROUP) {
            let start = int8_index(inputs, panel * PANEL, group * GROUP);
            let block = &values[start..start + BLOCK];
            if block.iter().any(|value| *value != 0) {
                packed.values.extend_from_slice(block);
                packed.groups.push(group as u16);
            }
        }
        packed.starts.push(packed.groups.len() as u32);
    }
    packed
}

/// The panels of an int8 layer, its empty blocks too.
///
/// # Panics
/// If the blocks are [not of such a layer](Blocks::check).
pub fn unpack(blocks: Blocks<'_>, inputs: usize, outputs: usize) -> Vec<i8> {
    assert_eq!(blocks.check(inputs, outputs), Ok(()));
    let mut panels = vec![0; volume(inputs, outputs, true)];
    for panel in 0..outputs.div_ceil(PANEL) {
        let (values, groups) = blocks.panel(panel);
        for (block, group) in values.chunks_exact(BLOCK).zip(groups) {
            let start = int8_index(inputs, panel * PANEL, usize::from(*group) * GROUP);
            panels[start..start + BLOCK].copy_from_slice(block);
        }
    }
    panels
}

impl<'a> Blocks<'a> {
    /// Whether they are those of a layer of these sizes.
    ///
    /// # Errors
    /// What they are not.
    pub fn check(&self, inputs: usize, outputs: usize) -> Result<(), String> {
        if !self.fit(inputs, outputs) {
            let Self { values, groups, starts } = self;
            let got = (values.len(), groups.len(), starts.len());
            return Err(format!(
                "{} weights in {} blocks and {} starts are no layer of that size",
                got.0, got.1, got.2
            ));
        }
        if self.starts.first() != Some(&0) || !self.starts.is_sorted() {
            return Err("the panels do not follow each other".to_owned());
        }
        let groups = inputs.div_ceil(GROUP);
        for panel in 0..outputs.div_ceil(PANEL) {
            let (_, met) = self.panel(panel);
            if !met.is_sorted_by(|a, b| a < b) || met.last().is_some_and(|last| usize::from(*last) >= groups) {
                return Err(format!("panel {panel} has blocks out of order, or beyond the {inputs} inputs"));
            }
        }
        Ok(())
    }

    /// The value of an output and an input.
    pub(crate) fn value(&self, output: usize, input: usize) -> i8 {
        let (values, groups) = self.panel(output / PANEL);
        let block = groups.iter().position(|group| usize::from(*group) == input / GROUP);
        block.map_or(0, |block| values[(block * PANEL + output % PANEL) * GROUP + input % GROUP])
    }

    /// Whether the slices are as long as the sizes, and each other, say.
    pub(super) fn fit(&self, inputs: usize, outputs: usize) -> bool {
        inputs <= MAX_INT8_INPUTS
            && self.values.len() == self.groups.len() * BLOCK
            && self.starts.len() == outputs.div_ceil(PANEL) + 1
            && self.starts.last().is_some_and(|all| *all as usize == self.groups.len())
    }

    /// The values and the groups of a panel's blocks: as many of one as of the other; none where the starts are of no layer.
    pub(super) fn panel(&self, panel: usize) -> (&'a [i8], &'a [u16]) {
        let Some(&[start, end]) = self.starts.get(panel..panel + 2) else { return (&[], &[]) };
        let (start, end) = (start as usize, end as usize);
        let groups = self.groups.get(start..end);
        groups.and_then(|groups| Some((self.values.get(start * BLOCK..end * BLOCK)?, groups))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_are_of_no_layer_are_refused() {
        let (values, groups, starts) = ([1i8; 3 * BLOCK], [0u16, 2, 1], [0u32, 2, 3]);
        let whole = Blocks { values: &values, groups: &groups, starts: &starts };
        assert_eq!(whole.check(9, 20), Ok(()));
        let broken = [
            Blocks { values: &values[1..], ..whole },
            Blocks { groups: &groups[1..], ..whole },
            Blocks { starts: &starts[1..], ..whole },
            Blocks { starts: &[0, 2, 2], ..whole },
            Blocks { starts: &[1, 2, 3], ..whole },
            Blocks { starts: &[0, 4, 3], ..whole },
            Blocks { groups: &[2, 0, 1], ..whole },
            Blocks { groups: &[0, 0, 1], ..whole },
            Blocks { groups: &[0, 3, 1], ..whole },
        ];
        for blocks in broken {
            assert!(blocks.check(9, 20).is_err(), "{:?} {:?}", blocks.groups, blocks.starts);
        }
        assert!(whole.check(9, 40).is_err() && whole.check(8, 20).is_err());
    }
}
