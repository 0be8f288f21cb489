//! Weights of a layer that are held at zero, one by one or in blocks, while the others make up for them.
//!
//! What a weight is worth is told by the optimal brain surgeon (Hassibi and Stork 1993): of a block `u` of inputs it is
//! `w_u ((H^-1)_uu)^-1 w_u^T`, summed over the outputs of the block, where `H` are the moments of the inputs. Those of the
//! least worth go in rounds, more in the first ones than in the last; after each the weights that are left are fitted anew by
//! conjugate gradients (Hestenes and Stiefel 1952), all outputs side by side.

use crate::{Matrix, Root};

/// In how many rounds weights go.
const ROUNDS: usize = 12;
/// How many steps the weights that are left are fitted by after a round, and after the last.
const STEPS: (usize, usize) = (6, 40);

/// The shape of what is held at zero together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// How many outputs it has.
    pub outputs: usize,
    /// How many inputs.
    pub inputs: usize,
}

/// A layer some of whose weights are held at zero.
#[derive(Clone, Debug)]
pub struct Thinning<'a> {
    /// `[inputs, inputs]`
    moments: &'a Matrix,
    /// What the inputs' moments with the outputs are to be, `[outputs, inputs]`.
    wanted: Matrix,
    weight: Matrix,
    /// By weight: whether it is held.
    held: Vec<bool>,
    block: Block,
    /// By inputs of a block: the inverse of their part of the moments' inverse.
    worth: Vec<Matrix>,
}

impl<'a> Thinning<'a> {
    /// A layer whose inputs have these moments, and with what it is to give those: nothing is held yet.
    pub fn new(moments: &'a Matrix, wanted: Matrix, block: Block) -> Self {
        let root = Root::nearest(moments.clone());
        let inverse = root.inverse();
        let columns: Vec<usize> = (0..moments.columns()).collect();
        let worth = columns.chunks(block.inputs.max(1)).map(|columns| {
            let part = inverse.select_rows(columns).select_columns(columns);
            Root::nearest(part).inverse()
        });
        let weight = root.divide(&wanted);
        let held = vec![false; weight.values().len()];
        Self { moments, held, block, worth: worth.collect(), weight, wanted }
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.weight.rows().div_ceil(self.block.outputs.max(1)) * self.worth.len()
    }

    /// Holds so many blocks at zero, those of the least worth, and fits the others.
    pub fn hold(&mut self, count: usize) {
        for round in 1..=ROUNDS {
            let left = 1.0 - round as f64 / ROUNDS as f64;
            let goal = (count as f64 * (1.0 - left * left)).round() as usize;
            self.choose(goal);
            self.fit(if round == ROUNDS { STEPS.1 } else { STEPS.0 });
        }
    }

    /// The weights, `[outputs, inputs]`.
    pub fn weight(&self) -> &Matrix {
        &self.weight
    }

    /// Holds the blocks of the least worth, so many in all. Those that are held already have none.
    fn choose(&mut self, count: usize) {
        let (rows, columns) = (self.weight.rows(), self.weight.columns());
        let mut worth: Vec<(f64, usize, usize)> = Vec::with_capacity(self.blocks());
        for first in (0..rows).step_by(self.block.outputs.max(1)) {
            let outputs = first..rows.min(first + self.block.outputs);
            for (group, matrix) in self.worth.iter().enumerate() {
                let inputs = group * self.block.inputs..columns.min((group + 1) * self.block.inputs);
                let of = |output: usize| product(&self.weight.row(output)[inputs.clone()], matrix);
                worth.push((outputs.clone().map(of).sum(), first, inputs.start));
            }
        }
        let count = count.min(worth.len());
        if count == 0 {
            return;
        }
        let order =
            |a: &(f64, usize, usize), b: &(f64, usize, usize)| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2)));
        worth.select_nth_unstable_by(count - 1, order);
        self.held.fill(false);
        for (_, first, input) in &worth[..count] {
            for output in *first..rows.min(first + self.block.outputs) {
                let end = columns.min(input + self.block.inputs);
                self.held[output * columns + input..output * columns + end].fill(true);
                self.weight.row_mut(output)[*input..end].fill(0.0);
            }
        }
    }

    /// Takes so many steps towards the weights that fit best among those that are held at zero where these are.
    fn fit(&mut self, steps: usize) {
        let columns = self.weight.columns();
        let scale: Vec<f64> = self.moments.diagonal().into_iter().map(|x| 1.0 / x.max(f64::MIN_POSITIVE)).collect();
        let mut rest = self.wanted.clone();
        rest.add_product(&self.weight, self.moments, -1.0);
        self.free(&mut rest);
        let mut direction = Matrix::zeros(rest.rows(), columns);
        let mut before = vec![0.0; rest.rows()];
        for _ in 0..steps {
            for (row, before) in before.iter_mut().enumerate() {
                let now: f64 = rest.row(row).iter().zip(&scale).map(|(rest, scale)| rest * rest * scale).sum();
                let keep = if *before > 0.0 { now / *before } else { 0.0 };
                *before = now;
                let toward = rest.row(row).iter().zip(&scale);
                for (direction, (rest, scale)) in direction.row_mut(row).iter_mut().zip(toward) {
                    *direction = rest * scale + keep * *direction;
                }
            }
            let mut change = direction.times(self.moments);
            self.free(&mut change);
            for (row, before) in before.iter().enumerate() {
                let slope: f64 = direction.row(row).iter().zip(change.row(row)).map(|(a, b)| a * b).sum();
                let step = before / slope;
                if !(slope > 0.0 && step.is_finite()) {
                    continue;
                }
                self.weight.row_mut(row).iter_mut().zip(direction.row(row)).for_each(|(own, by)| *own += step * by);
                rest.row_mut(row).iter_mut().zip(change.row(row)).for_each(|(own, by)| *own -= step * by);
            }
        }
    }

    /// Leaves zero in the place of each weight that is held.
    fn free(&self, matrix: &mut Matrix) {
        let columns = matrix.columns().max(1);
        for (row, held) in self.held.chunks_exact(columns).enumerate() {
            let numbers = matrix.row_mut(row).iter_mut().zip(held);
            numbers.filter(|(_, held)| **held).for_each(|(number, _)| *number = 0.0);
        }
    }
}

/// `w matrix w^T`
fn product(w: &[f64], matrix: &Matrix) -> f64 {
    let row = |(i, own): (usize, &f64)| own * matrix.row(i).iter().zip(w).map(|(a, b)| a * b).sum::<f64>();
    w.iter().enumerate().map(row).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::numbers;

    const ONE: Block = Block { outputs: 1, inputs: 1 };

    fn error(x: &Matrix, weight: &Matrix, other: &Matrix) -> f64 {
        let mut error = x.times(&weight.transposed());
        error.add_product(x, &other.transposed(), -1.0);
        error.power()
    }

    #[test]
    fn what_is_left_is_the_best_of_its_places() {
        let x = Matrix::new(300, 24, numbers(1, 300 * 24));
        let weight = Matrix::new(6, 24, numbers(2, 6 * 24));
        let moments = x.transposed_times(&x);
        for block in [ONE, Block { outputs: 4, inputs: 4 }, Block { outputs: 5, inputs: 7 }] {
            let mut thinning = Thinning::new(&moments, weight.times(&moments), block);
            let blocks = thinning.blocks();
            thinning.hold(blocks / 2);
            for row in 0..6 {
                let found = thinning.weight().row(row);
                let left: Vec<usize> = (0..24).filter(|column| found[*column] != 0.0).collect();
                let root = Root::of(&moments.select_rows(&left).select_columns(&left)).unwrap();
                let wanted = weight.select_rows(&[row]).times(&moments).select_columns(&left);
                for (best, column) in root.divide(&wanted).values().iter().zip(&left) {
                    assert!((best - found[*column]).abs() < 1e-6, "{block:?} {best} {}", found[*column]);
                }
            }
        }
    }

    #[test]
    fn whole_blocks_go_and_as_many_as_asked() {
        let x = Matrix::new(200, 21, numbers(3, 200 * 21));
        let moments = x.transposed_times(&x);
        let weight = Matrix::new(10, 21, numbers(4, 210));
        let mut thinning = Thinning::new(&moments, weight.times(&moments), Block { outputs: 4, inputs: 4 });
        assert_eq!(thinning.blocks(), 3 * 6);
        thinning.hold(7);
        let empty = |first: usize, input: usize| {
            let outputs = first..10.min(first + 4);
            outputs.flat_map(|output| thinning.weight().row(output)[input..21.min(input + 4)].iter()).all(|w| *w == 0.0)
        };
        let blocks = (0..3).flat_map(|panel| (0..6).map(move |group| (4 * panel, 4 * group)));
        assert_eq!(blocks.filter(|(first, input)| empty(*first, *input)).count(), 7);
    }

    #[test]
    fn weights_that_others_make_up_for_go_first() {
        let mut x = Matrix::new(200, 12, numbers(5, 2400));
        for row in 0..200 {
            let row = x.row_mut(row);
            row[7] = row[0] - 2.0 * row[3];
        }
        let mut moments = x.transposed_times(&x);
        moments.add_to_diagonal(1e-6);
        let weight = Matrix::new(3, 12, (0..36).map(|i| 1.0 + (i % 5) as f64).collect());
        let mut thinning = Thinning::new(&moments, weight.times(&moments), ONE);
        thinning.hold(3);
        assert!(error(&x, thinning.weight(), &weight) < 1e-4 * x.times(&weight.transposed()).power());
    }

    #[test]
    fn nothing_is_held_where_nothing_is_to_be() {
        let mut moments = Matrix::zeros(4, 4);
        moments.add_to_diagonal(1.0);
        let weight = Matrix::new(2, 4, numbers(6, 8));
        let mut thinning = Thinning::new(&moments, weight.clone(), ONE);
        thinning.hold(0);
        assert!(thinning.weight().values().iter().zip(weight.values()).all(|(a, b)| (a - b).abs() < 1e-12));
        thinning.hold(100);
        assert!(thinning.weight().values().iter().all(|w| *w == 0.0));
    }
}
