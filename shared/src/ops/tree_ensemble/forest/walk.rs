//! The way from a row's features to the leaf it ends in, in every tree.

use tract_nnef::internal::*;

use super::{EQUAL, FEATURE_MASK, Forest, MISSING_FIRST, Packed, Threshold};

/// How many walks advance together.
const LANES: usize = 8;
/// How many steps are taken between two looks at whether all walks have ended.
const STRIDE: usize = 4;

impl<T: Threshold> Forest<T> {
    /// Tells `visit` each of the `rows` of `width` features and the leaf it ends in, for every tree. Each row sees the
    /// trees in their order.
    pub(in super::super) fn walk(&self, rows: &[T], width: usize, visit: impl FnMut(usize, Leaf)) {
        match (self.has_equal, self.has_missing_first) {
            (false, false) => self.walk_as::<false, false>(rows, width, visit),
            (false, true) => self.walk_as::<false, true>(rows, width, visit),
            (true, false) => self.walk_as::<true, false>(rows, width, visit),
            (true, true) => self.walk_as::<true, true>(rows, width, visit),
        }
    }

    /// The numbers of the leaves that rows of `width` features end in, `[rows, trees]`.
    ///
    /// # Errors
    /// Rows with fewer features than the trees look at.
    pub fn leaves(&self, rows: &[T], width: usize) -> TractResult<Vec<u32>> {
        ensure!(width > 0 && width >= self.features, "expected rows of {} features, got {width}", self.features);
        let trees = self.trees();
        let mut leaves = vec![0; rows.len() / width * trees];
        let mut seen = vec![0; rows.len() / width];
        self.walk(rows, width, |row, leaf| {
            leaves[row * trees + seen[row]] = self.leaves[leaf.place as usize];
            seen[row] += 1;
        });
        Ok(leaves)
    }

    fn walk_as<const EQ: bool, const MISSING: bool>(
        &self,
        rows: &[T],
        width: usize,
        mut visit: impl FnMut(usize, Leaf),
    ) {
        if rows.len() >= LANES * width {
            return self.rows::<EQ, MISSING>(rows, width, visit);
        }
        for (number, row) in rows.chunks_exact(width).enumerate() {
            self.row::<EQ, MISSING>(row, |leaf| visit(number, leaf));
        }
    }

    /// Eight trees at once.
    fn row<const EQ: bool, const MISSING: bool>(&self, row: &[T], mut visit: impl FnMut(Leaf)) {
        for roots in self.roots.chunks(LANES) {
            let mut at = [roots[0]; LANES];
            at[..roots.len()].copy_from_slice(roots);
            self.descend::<EQ, MISSING>(&mut at, &[row; LANES]);
            at[..roots.len()].iter().for_each(|&place| visit(Leaf { place }));
        }
    }

    /// Eight rows at once.
    fn rows<const EQ: bool, const MISSING: bool>(&self, rows: &[T], width: usize, mut visit: impl FnMut(usize, Leaf)) {
        for &root in &self.roots {
            for (group, some) in rows.chunks(LANES * width).enumerate() {
                let count = some.len() / width;
                let mut lanes = [&some[..width]; LANES];
                lanes.iter_mut().zip(some.chunks_exact(width)).for_each(|(lane, row)| *lane = row);
                let mut at = [root; LANES];
                self.descend::<EQ, MISSING>(&mut at, &lanes);
                for (lane, &place) in at[..count].iter().enumerate() {
                    visit(group * LANES + lane, Leaf { place });
                }
            }
        }
    }

    #[inline(always)]
    fn descend<const EQ: bool, const MISSING: bool>(&self, at: &mut [u32; LANES], rows: &[&[T]; LANES]) {
        loop {
            let mut before = *at;
            for _ in 0..STRIDE {
                before = *at;
                for (place, row) in at.iter_mut().zip(rows) {
                    let node = &self.nodes[*place as usize];
                    *place = step::<T, EQ, MISSING>(node, row[(node.feature & FEATURE_MASK) as usize]);
                }
            }
            if before == *at {
                return;
            }
        }
    }
}

/// Where a walk ended: the place of the leaf's node.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Leaf {
    place: u32,
}

impl<T: Threshold> Forest<T> {
    /// What the leaf adds, and to which targets.
    pub(in super::super) fn weights_at(&self, leaf: Leaf) -> &[(u32, T)] {
        self.weights_of(self.leaves[leaf.place as usize])
    }

    /// What the leaf adds to the only target; `None` unless every leaf has exactly one weight.
    pub(in super::super) fn values(&self) -> Option<&[T]> {
        Some(self.values.as_slice()).filter(|values| !values.is_empty())
    }
}

impl Leaf {
    /// The leaf's own entry in [`Forest::values`].
    #[inline(always)]
    pub(in super::super) fn of<T: Copy>(self, values: &[T]) -> T {
        values[self.place as usize]
    }
}

#[inline(always)]
fn step<T: Threshold, const EQ: bool, const MISSING: bool>(node: &Packed<T>, value: T) -> u32 {
    let mut first = value <= node.threshold;
    if EQ {
        first &= (node.feature & EQUAL == 0) | (value == node.threshold);
    }
    if MISSING {
        first |= value.is_missing() & (node.feature & MISSING_FIRST != 0);
    }
    node.child.wrapping_add(u32::from(!first))
}
