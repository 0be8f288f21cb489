//! A layer or a table as two factors, cut at any rank.

use anyhow::{Context as _, Result, anyhow};
use emberlite::ops::{Embedding, Linear, Lookup, Table};
use emberlite_algebra::{Eigen, Matrix, Root, Singular};

use crate::prune::regression::{Reads, like};
use crate::prune::rewrite::{Piece, Wire};

/// How much a row counts that was never looked up, as a part of the mean count.
const UNSEEN: f64 = 0.1;

/// What is taken apart.
#[derive(Clone, Debug)]
enum Whole {
    Layer(Box<Linear>),
    /// An embedding and the index of the table.
    Table(Embedding, usize),
}

/// Two factors, whose product is the whole where their rank is full.
#[derive(Clone, Debug)]
pub(super) struct Factors {
    whole: Whole,
    /// `[outputs, rank]`, applied last; the columns that count most come first.
    last: Matrix,
    /// `[rank, inputs]` of a layer, `[rows, rank]` of a table.
    first: Matrix,
    /// What the mean of a layer's inputs is, and what is added in the end if that is all that is read.
    mean: Vec<f64>,
    bias: Vec<f64>,
    /// By rank, the part of the variance of what the whole gives that is lost.
    lost: Vec<f64>,
}

impl Factors {
    /// Of a layer with such inputs.
    ///
    /// # Errors
    /// Numbers that are not finite.
    pub(super) fn of_layer(linear: &Linear, reads: &Reads) -> Result<Self> {
        let (mean, covariance, _) = reads.covariance()?;
        let root = Root::nearest(covariance);
        let weight = Matrix::from_f32(linear.outputs(), linear.inputs(), &linear.dense());
        let Singular { left, values, right } =
            Singular::of(&weight.times(&root.lower())).context("its numbers are not finite")?;
        let mut first = root.divide_by_triangle(&right);
        for (row, value) in values.iter().enumerate() {
            first.row_mut(row).iter_mut().for_each(|number| *number *= value);
        }
        let lost = lost(values.iter().map(|value| value * value).collect());
        let given = weight.times(&Matrix::new(mean.len(), 1, mean.clone()));
        let bias = linear.bias().iter().zip(given.values()).map(|(bias, given)| f64::from(*bias) + given).collect();
        Ok(Self { whole: Whole::Layer(Box::new(linear.clone())), last: left, first, mean, bias, lost })
    }

    /// Of a table whose rows are looked up so often.
    ///
    /// # Errors
    /// Numbers that are not finite.
    pub(super) fn of_table(embedding: &Embedding, index: usize, counts: &[usize]) -> Result<Self> {
        let (table, _) = embedding.tables().get(index).context("there is no such table")?;
        let (rows, width) = (table.rows(), table.width());
        let mut values = Matrix::from_f32(rows, width, &table.dense());
        let total = counts.iter().sum::<usize>() as f64;
        let weights: Vec<f64> = counts.iter().map(|count| *count as f64 + UNSEEN * total / rows as f64).collect();
        let all: f64 = weights.iter().sum();
        let mut mean = vec![0.0; width];
        for (row, weight) in weights.iter().enumerate() {
            mean.iter_mut().zip(values.row(row)).for_each(|(sum, number)| *sum += weight / all * number);
        }
        let mut weighted = Matrix::zeros(rows, width);
        for (row, weight) in weights.iter().enumerate() {
            let own = values.row_mut(row);
            own.iter_mut().zip(&mean).for_each(|(number, mean)| *number -= mean);
            let scale = weight.sqrt();
            weighted.row_mut(row).iter_mut().zip(values.row(row)).for_each(|(out, number)| *out = scale * number);
        }
        let Eigen { values: powers, vectors } =
            Eigen::of(&weighted.transposed_times(&weighted)).context("its numbers are not finite")?;
        let factor = f64::from(embedding.factor());
        let bias = mean.iter().map(|mean| mean * factor).collect();
        let mut last = vectors.clone();
        last.scale(factor);
        let whole = Whole::Table(embedding.clone(), index);
        Ok(Self { whole, last, first: values.times(&vectors), mean: Vec::new(), bias, lost: lost(powers) })
    }

    /// How many weights the whole has.
    pub(super) fn size(&self) -> usize {
        match &self.whole {
            Whole::Layer(linear) => linear.outputs() * linear.inputs(),
            Whole::Table(..) => self.first.rows() * self.last.rows(),
        }
    }

    /// How many both factors have together at some rank.
    pub(super) fn size_of(&self, rank: usize) -> usize {
        let sides = match &self.whole {
            Whole::Layer(linear) => linear.outputs() + linear.inputs(),
            Whole::Table(..) => self.first.rows() + self.last.rows(),
        };
        sides * rank
    }

    /// The greatest rank at which both are smaller than the whole.
    pub(super) fn most(&self) -> usize {
        let full = self.lost.len().saturating_sub(1);
        (0..full).rev().find(|rank| self.size_of(*rank) < self.size()).unwrap_or(0)
    }

    /// The part of the variance of what the whole gives that is lost at some rank.
    pub(super) fn lost(&self, rank: usize) -> f64 {
        self.lost.get(rank).copied().unwrap_or(0.0)
    }

    /// The operators that stand for the whole.
    ///
    /// # Errors
    /// Sizes that do not fit together.
    pub(super) fn pieces(&self, rank: usize) -> Result<Vec<Piece>> {
        let kept: Vec<usize> = (0..rank).collect();
        let last = self.last.select_columns(&kept).to_f32();
        match &self.whole {
            Whole::Layer(linear) => {
                let first = Linear::new(&self.first.select_rows(&kept).to_f32(), rank, linear.inputs(), None);
                let first =
                    first.and_then(|first| first.with_format(linear.format())).map_err(|reason| anyhow!(reason))?;
                let last = like(linear, &last, rank, &self.bias_at(&kept))?;
                let mut reads = vec![Wire::Piece(0)];
                reads.extend(linear.has_residual().then_some(Wire::Input(1)));
                Ok(vec![
                    Piece { suffix: "_rank", op: Box::new(first), reads: vec![Wire::Input(0)] },
                    Piece { suffix: "", op: Box::new(last), reads },
                ])
            }
            Whole::Table(embedding, index) => self.embedded(embedding, *index, &kept, &last),
        }
    }

    /// The bias with which the factors of a layer give for the mean of its inputs what the layer gives.
    fn bias_at(&self, kept: &[usize]) -> Vec<f32> {
        let mean = Matrix::new(self.mean.len(), 1, self.mean.clone());
        let given = self.last.select_columns(kept).times(&self.first.select_rows(kept).times(&mean));
        self.bias.iter().zip(given.values()).map(|(bias, given)| (bias - given) as f32).collect()
    }

    fn embedded(&self, embedding: &Embedding, index: usize, kept: &[usize], last: &[f32]) -> Result<Vec<Piece>> {
        let rank = kept.len();
        let (old, lookup) = embedding.tables().get(index).context("there is no such table")?;
        let table = Table::new(&self.first.select_columns(kept).to_f32(), self.first.rows(), rank);
        let table = table.and_then(|table| table.with_format(old.format())).map_err(|reason| anyhow!(reason))?;
        let small = Embedding::new(vec![(table, *lookup)]).map_err(|reason| anyhow!(reason))?;
        let inputs = |embedding: &Embedding| (0..embedding.inputs()).map(Wire::Input).collect::<Vec<_>>();
        let bias: Vec<f32> = self.bias.iter().map(|bias| *bias as f32).collect();
        let linear = Linear::new(last, self.last.rows(), rank, Some(&bias)).map_err(|reason| anyhow!(reason))?;
        let others: Vec<(Table, Lookup)> = embedding
            .tables()
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != index)
            .map(|(_, table)| table.clone())
            .collect();
        let reads = inputs(&small);
        let mut pieces = vec![Piece { suffix: "_rank", op: Box::new(small), reads }];
        if others.is_empty() {
            pieces.push(Piece { suffix: "", op: Box::new(linear), reads: vec![Wire::Piece(0)] });
            return Ok(pieces);
        }
        let rest = Embedding::new(others).map_err(|reason| anyhow!(reason))?.with_factor(embedding.factor());
        let reads = inputs(&rest);
        pieces.push(Piece { suffix: "_rest", op: Box::new(rest), reads });
        let reads = vec![Wire::Piece(0), Wire::Piece(1)];
        pieces.push(Piece { suffix: "", op: Box::new(linear.with_residual()), reads });
        Ok(pieces)
    }
}

/// By rank, the part of the power that is left out.
fn lost(powers: Vec<f64>) -> Vec<f64> {
    let all: f64 = powers.iter().map(|power| power.max(0.0)).sum();
    let mut left = all;
    let mut lost = vec![1.0];
    for power in powers {
        left -= power.max(0.0);
        lost.push((left / all.max(f64::MIN_POSITIVE)).max(0.0));
    }
    lost
}
