//! Fewer trees for the same scores.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow};
use emberlite::ops::tree_ensemble::forest::{Flat, Forest, Threshold};
use emberlite_algebra::{Matrix, Root};

use super::super::elimination::{Elimination, Reader};
use super::pool::reweighted;

/// How firmly trees hold on to their weight while it is told which of them go, as a part of their mean variance.
const DAMPING: f64 = 0.01;
/// How firmly leaves may hold on to what they are, as a part of the number of trees. Which is best is found by leaving
/// rows out.
const RIDGES: [f64; 5] = [0.003, 0.01, 0.03, 0.1, 0.3];
/// Every so many rows one is left out.
const FOLDS: usize = 5;
/// How far the weights of a leaf may be from those of another in sum, where all are said to have the same.
const SUM_TOLERANCE: f64 = 1e-4;

/// What the trees give for rows.
struct Scores {
    /// `[rows, trees]`: the numbers of the leaves.
    leaves: Vec<u32>,
    rows: usize,
    trees: usize,
    /// By leaf and target: its weight.
    weights: Vec<BTreeMap<u32, f64>>,
    /// By target: the trees that have a weight for it.
    voters: BTreeMap<u32, Vec<usize>>,
}

/// The forest with only `wanted` trees, fitted to what all give for `rows` of `width` features. Every leaf has a number of
/// its own. Weights become negative only where some are.
///
/// # Errors
/// Rows that are none of the forest's.
pub(super) fn fewer<T: Threshold>(
    flat: &Flat<T>,
    rows: &[T],
    width: usize,
    wanted: usize,
    negative: bool,
) -> Result<Flat<T>> {
    let scores = Scores::of(flat, rows, width)?;
    let (left, factors) = scores.chosen(wanted);
    let trees: Vec<(usize, Vec<usize>)> = left.iter().map(|tree| (*tree, leaves_of(flat, *tree))).collect();
    let mut weights = scores.weights.clone();
    for (target, factors) in &factors {
        let fitted = scores.fitted(*target, &trees, factors);
        for (leaf, weight) in fitted {
            weights[leaf].insert(*target, if negative { weight } else { weight.max(0.0) });
        }
    }
    if !negative {
        scores.share_out(&trees, &mut weights);
    }
    let weights: Vec<Vec<(u32, T)>> = weights
        .into_iter()
        .map(|leaf| leaf.into_iter().map(|(target, weight)| (target, T::from_f32(weight as f32))).collect())
        .collect();
    let fitted = reweighted(flat, &weights)?;
    Ok(Flat { roots: left.iter().map(|tree| flat.roots[*tree]).collect(), ..fitted })
}

impl Scores {
    fn of<T: Threshold>(flat: &Flat<T>, rows: &[T], width: usize) -> Result<Self> {
        let failed = |error| anyhow!("the trees can't be walked: {error:#}");
        let leaves = Forest::new(flat).and_then(|forest| forest.leaves(rows, width)).map_err(failed)?;
        let trees = flat.roots.len();
        let weights: Vec<BTreeMap<u32, f64>> = flat
            .spans
            .windows(2)
            .map(|span| {
                let mut sums = BTreeMap::new();
                for at in span[0] as usize..span[1] as usize {
                    *sums.entry(flat.targets[at]).or_insert(0.0) += f64::from(flat.weights[at].to_f32());
                }
                sums
            })
            .collect();
        let mut voters: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for tree in 0..trees {
            let targets: BTreeSet<u32> =
                leaves_of(flat, tree).into_iter().flat_map(|leaf| weights[leaf].keys().copied()).collect();
            targets.into_iter().for_each(|target| voters.entry(target).or_default().push(tree));
        }
        Ok(Self { rows: rows.len() / width, leaves, trees, weights, voters })
    }

    fn leaf(&self, row: usize, tree: usize) -> usize {
        self.leaves[row * self.trees + tree] as usize
    }

    fn given(&self, row: usize, tree: usize, target: u32) -> f64 {
        self.weights[self.leaf(row, tree)].get(&target).copied().unwrap_or(0.0)
    }

    /// The trees that are left, and by target what each of them is multiplied by.
    fn chosen(&self, wanted: usize) -> (Vec<usize>, BTreeMap<u32, Vec<f64>>) {
        let mut readers = Vec::new();
        let mut targets = Vec::new();
        for (target, voters) in &self.voters {
            let given = (0..self.rows).flat_map(|row| voters.iter().map(move |tree| self.given(row, *tree, *target)));
            let given = centred(Matrix::new(self.rows, voters.len(), given.collect()));
            let mut moments = given.transposed_times(&given);
            let ones = Matrix::new(1, voters.len(), vec![1.0; voters.len()]);
            let power = ones.times(&moments).values().iter().sum::<f64>();
            let variance = moments.diagonal().iter().sum::<f64>() / voters.len() as f64;
            moments.add_to_diagonal(DAMPING * variance.max(f64::MIN_POSITIVE));
            let mut columns = vec![Vec::new(); self.trees];
            voters.iter().enumerate().for_each(|(column, tree)| columns[*tree] = vec![column]);
            readers.push(Reader::new(&moments, &ones.times(&moments), columns, power));
            targets.push((*target, voters));
        }
        let mut elimination = Elimination::new(readers, self.trees);
        while elimination.left().len() > wanted {
            let left = elimination.left();
            let spared = |voters: &[usize]| voters.iter().filter(|tree| left.contains(tree)).count() > 1;
            let needed: BTreeSet<usize> =
                self.voters.values().filter(|voters| !spared(voters)).flatten().copied().collect();
            if elimination.next(|tree| !needed.contains(&tree)).is_none() {
                break;
            }
        }
        let factor = |(at, (target, voters)): (usize, &(u32, &Vec<usize>))| {
            let mut factors = vec![1.0; self.trees];
            for (column, tree) in voters.iter().enumerate() {
                factors[*tree] = elimination.weight(at, column);
            }
            (*target, factors)
        };
        (elimination.left().to_vec(), targets.iter().enumerate().map(factor).collect())
    }

    /// The weights for a target of the leaves of the trees that are left, by leaf.
    fn fitted(&self, target: u32, left: &[(usize, Vec<usize>)], factors: &[f64]) -> BTreeMap<usize, f64> {
        let Some(voters) = self.voters.get(&target) else { return BTreeMap::new() };
        let trees = left.iter().filter(|(tree, _)| voters.contains(tree));
        let left: Vec<usize> = trees.clone().map(|(tree, _)| *tree).collect();
        let lacking: Vec<f64> = (0..self.rows)
            .map(|row| {
                let all: f64 = voters.iter().map(|tree| self.given(row, *tree, target)).sum();
                all - left.iter().map(|tree| factors[*tree] * self.given(row, *tree, target)).sum::<f64>()
            })
            .collect();
        let mean = lacking.iter().sum::<f64>() / self.rows as f64;
        let lacking: Vec<f64> = lacking.into_iter().map(|number| number - mean).collect();
        let shares = self.shares(&left);
        let ridge = best_ridge(&shares, &lacking, left.len());
        let duals = solved(&shares, &lacking, &(0..self.rows).collect::<Vec<_>>(), ridge);

        let each = mean / left.len().max(1) as f64;
        let mut fitted = BTreeMap::new();
        for (tree, leaves) in trees {
            for leaf in leaves {
                let before = self.weights[*leaf].get(&target).copied().unwrap_or(0.0);
                fitted.insert(*leaf, factors[*tree] * before + each);
            }
            for (row, dual) in duals.iter().enumerate() {
                *fitted.entry(self.leaf(row, *tree)).or_insert(0.0) += dual;
            }
        }
        fitted
    }

    /// How many trees give two rows the same leaf, `[rows, rows]`.
    fn shares(&self, left: &[usize]) -> Matrix {
        let mut shares = Matrix::zeros(self.rows, self.rows);
        for tree in left {
            let mut together: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            (0..self.rows).for_each(|row| together.entry(self.leaf(row, *tree)).or_default().push(row));
            for rows in together.values() {
                for row in rows {
                    let shares = shares.row_mut(*row);
                    rows.iter().for_each(|other| shares[*other] += 1.0);
                }
            }
        }
        shares
    }

    /// Where the weights of every leaf add up to the same, as those of probabilities do, they do so again.
    fn share_out(&self, left: &[(usize, Vec<usize>)], weights: &mut [BTreeMap<u32, f64>]) {
        let sum = |leaf: &BTreeMap<u32, f64>| leaf.values().sum::<f64>();
        let Some(first) = self.weights.first().map(sum) else { return };
        let alike = self.weights.iter().all(|leaf| (sum(leaf) - first).abs() < SUM_TOLERANCE * first);
        if self.voters.len() < 2 || !alike {
            return;
        }
        let wanted = first * self.trees as f64 / left.len() as f64;
        for leaf in left.iter().flat_map(|(_, leaves)| leaves) {
            let factor = wanted / sum(&weights[*leaf]).max(f64::MIN_POSITIVE);
            weights[*leaf].values_mut().for_each(|weight| *weight *= factor);
        }
    }
}

/// The numbers of a tree's leaves.
fn leaves_of<T: Threshold>(flat: &Flat<T>, tree: usize) -> Vec<usize> {
    let mut open = vec![flat.roots[tree] as usize];
    let mut leaves = Vec::new();
    while let Some(place) = open.pop() {
        let (node, next) = (&flat.nodes[place], flat.nodes[place].next as usize);
        if node.is_leaf() {
            leaves.push(next);
        } else {
            open.extend([next, next + 1]);
        }
    }
    leaves
}

fn centred(mut matrix: Matrix) -> Matrix {
    let mut means = vec![0.0; matrix.columns()];
    for row in 0..matrix.rows() {
        means.iter_mut().zip(matrix.row(row)).for_each(|(mean, number)| *mean += number);
    }
    let rows = matrix.rows().max(1) as f64;
    for row in 0..matrix.rows() {
        matrix.row_mut(row).iter_mut().zip(&means).for_each(|(number, mean)| *number -= mean / rows);
    }
    matrix
}

/// The ridge with which rows that were left out are told best.
fn best_ridge(shares: &Matrix, lacking: &[f64], trees: usize) -> f64 {
    let error = |ridge: f64| -> f64 {
        let of_fold = |fold: usize| -> f64 {
            let (out, seen): (Vec<usize>, Vec<usize>) = (0..lacking.len()).partition(|row| row % FOLDS == fold);
            let duals = solved(shares, lacking, &seen, ridge);
            let square = |row: &usize| {
                let told: f64 = seen.iter().zip(&duals).map(|(other, dual)| shares.at(*row, *other) * dual).sum();
                (lacking[*row] - told).powi(2)
            };
            out.iter().map(square).sum()
        };
        (0..FOLDS).map(of_fold).sum()
    };
    let ridges = RIDGES.map(|ridge| ridge * trees.max(1) as f64);
    let errors = ridges.map(|ridge| (error(ridge), ridge));
    let best = errors.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or(ridges[0], |(_, ridge)| ridge)
}

/// By row of `seen`: what each leaf that it ends in gets.
fn solved(shares: &Matrix, lacking: &[f64], seen: &[usize], ridge: f64) -> Vec<f64> {
    let mut kernel = shares.select_rows(seen).select_columns(seen);
    kernel.add_to_diagonal(ridge);
    let right = Matrix::new(1, seen.len(), seen.iter().map(|row| lacking[*row]).collect());
    Root::nearest(kernel).divide(&right).values().to_vec()
}
