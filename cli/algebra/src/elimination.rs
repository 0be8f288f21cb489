//! Which inputs of a linear layer go first, each making least of a difference once the others make up for it.
//!
//! The optimal brain surgeon (Hassibi and Stork 1993) for whole columns, as ZipLM does it (Kurtic et al. 2023): leaving
//! out the columns `u` of a layer `W` whose inputs have the moments `H` costs, after the others were fitted anew,
//! `tr(W_u ((H^-1)_uu)^-1 W_u^T)`; what is left of `H^-1` and `W` follows from that in closed form.

use crate::{Matrix, Root};

/// How many columns are left out before all others are brought up to date.
const ROUND: usize = 32;
/// How many of the cheapest are candidates of a round, in rounds.
const CANDIDATES: usize = 4;

/// A unit that was left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Removal {
    /// Which one.
    pub unit: usize,
    /// What it added to the squared error of the layer's outputs.
    pub cost: f64,
}

/// A layer whose inputs, in units of equal width, are left out one after the other.
#[derive(Clone, Debug)]
pub struct Elimination {
    /// The inverse of the inputs' moments, `[inputs, inputs]`.
    inverse: Matrix,
    /// `[inputs, outputs]`: the layer turned over.
    weight: Matrix,
    width: usize,
    left: Vec<usize>,
}

impl Elimination {
    /// For a layer `[outputs, inputs]` whose inputs have moments with this root.
    pub fn new(root: &Root, weight: &Matrix, width: usize) -> Self {
        let width = width.max(1);
        let left = (0..weight.columns() / width).collect();
        Self { inverse: root.inverse(), weight: weight.transposed(), width, left }
    }

    /// Leaves out the units that cost least, so many in all, always the cheapest of those that are left.
    pub fn remove(&mut self, count: usize) -> Vec<Removal> {
        let mut removals = Vec::with_capacity(count);
        while removals.len() < count && !self.left.is_empty() {
            let round = if self.width == 1 { ROUND.min(count - removals.len()) } else { 1 };
            let chosen = self.round(round);
            let units: Vec<usize> = chosen.iter().map(|removal| removal.unit).collect();
            self.left.retain(|unit| !units.contains(unit));
            self.leave_out(&units);
            removals.extend(chosen);
        }
        removals
    }

    /// The next units to go. Units of one column are chosen exactly among the candidates of the round.
    fn round(&self, count: usize) -> Vec<Removal> {
        let mut costs: Vec<Removal> = self.left.iter().map(|&unit| Removal { unit, cost: self.cost(unit) }).collect();
        costs.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(a.unit.cmp(&b.unit)));
        if count == 1 {
            costs.truncate(1);
            return costs;
        }
        let mut candidates: Vec<usize> = costs.iter().take(CANDIDATES * count).map(|removal| removal.unit).collect();
        candidates.sort_unstable();
        let mut inverse = self.inverse.select_rows(&candidates).select_columns(&candidates);
        let mut weight = self.weight.select_rows(&candidates);
        let mut gone = vec![false; candidates.len()];
        let mut chosen = Vec::with_capacity(count);
        for _ in 0..count.min(candidates.len()) {
            let cost = |at: usize| power(weight.row(at)) / inverse.at(at, at).max(f64::MIN_POSITIVE);
            let left = (0..candidates.len()).filter(|at| !gone[*at]).map(|at| (at, cost(at)));
            let Some((at, cost)) = left.min_by(|a, b| a.1.total_cmp(&b.1)) else { break };
            gone[at] = true;
            chosen.push(Removal { unit: candidates[at], cost });
            let pivot = inverse.at(at, at).max(f64::MIN_POSITIVE);
            let (row, outputs) = (inverse.row(at).to_vec(), weight.row(at).to_vec());
            weight.add_outer(&row, &outputs, -1.0 / pivot);
            inverse.add_outer(&row, &row, -1.0 / pivot);
        }
        chosen
    }

    fn cost(&self, unit: usize) -> f64 {
        if self.width == 1 {
            return power(self.weight.row(unit)) / self.inverse.at(unit, unit).max(f64::MIN_POSITIVE);
        }
        let columns = self.columns(&[unit]);
        let root = Root::nearest(self.inverse.select_rows(&columns).select_columns(&columns));
        root.solve_triangle(&self.weight.select_rows(&columns)).power()
    }

    fn leave_out(&mut self, units: &[usize]) {
        let columns = self.columns(units);
        let across = self.inverse.select_rows(&columns);
        let root = Root::nearest(across.select_columns(&columns));
        // `[inputs, columns]`: by how much each input makes up for each that goes.
        let share = root.divide(&across.transposed());
        self.weight.add_product(&share, &self.weight.select_rows(&columns), -1.0);
        self.inverse.add_product(&share, &across, -1.0);
    }

    fn columns(&self, units: &[usize]) -> Vec<usize> {
        units.iter().flat_map(|unit| unit * self.width..(unit + 1) * self.width).collect()
    }
}

fn power(row: &[f64]) -> f64 {
    row.iter().map(|number| number * number).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::numbers;

    /// The least squared error of a layer that reads only these inputs.
    fn least_error(x: &Matrix, weight: &Matrix, kept: &[usize]) -> f64 {
        let moments = x.transposed_times(x);
        let wanted = weight.times(&moments).select_columns(kept);
        let root = Root::nearest(moments.select_rows(kept).select_columns(kept));
        let fitted = root.divide(&wanted);
        let mut error = x.times(&weight.transposed());
        error.add_product(&x.select_columns(kept), &fitted.transposed(), -1.0);
        error.power()
    }

    #[test]
    fn costs_add_up_to_the_error_that_is_left() {
        for width in [1, 3] {
            let x = Matrix::new(200, 48, numbers(3, 200 * 48));
            let weight = Matrix::new(7, 48, numbers(4, 7 * 48));
            let root = Root::of(&x.transposed_times(&x)).unwrap();
            let removals = Elimination::new(&root, &weight, width).remove(36 / width);
            let gone: Vec<usize> =
                removals.iter().flat_map(|removal| removal.unit * width..(removal.unit + 1) * width).collect();
            let kept: Vec<usize> = (0..48).filter(|column| !gone.contains(column)).collect();
            assert_eq!(kept.len(), 12);
            let (told, least): (f64, f64) =
                (removals.iter().map(|removal| removal.cost).sum(), least_error(&x, &weight, &kept));
            assert!((told - least).abs() < 1e-6 * least, "{width}: {told} {least}");
        }
    }

    #[test]
    fn of_two_that_are_alike_one_goes_for_nothing() {
        let mut x = Matrix::new(100, 40, numbers(5, 4000));
        for row in 0..100 {
            let row = x.row_mut(row);
            row[33] = row[2];
            row[7] = row[1] - 2.0 * row[30];
        }
        let weight = Matrix::new(6, 40, numbers(6, 240));
        let mut moments = x.transposed_times(&x);
        moments.add_to_diagonal(1e-7);
        let removals = Elimination::new(&Root::nearest(moments), &weight, 1).remove(3);
        let costs: Vec<f64> = removals.iter().map(|removal| removal.cost).collect();
        assert!(costs[0] < 1e-4 && costs[1] < 1e-4 && costs[2] > 1e-2, "{removals:?}");
        let of = |group: &[usize]| removals[..2].iter().filter(|removal| group.contains(&removal.unit)).count();
        assert_eq!((of(&[2, 33]), of(&[1, 7, 30])), (1, 1));
    }

    #[test]
    fn no_more_goes_than_there_is() {
        let weight = Matrix::new(1, 4, vec![1.0; 4]);
        let mut moments = Matrix::zeros(4, 4);
        moments.add_to_diagonal(1.0);
        assert_eq!(Elimination::new(&Root::nearest(moments), &weight, 2).remove(9).len(), 2);
    }
}
