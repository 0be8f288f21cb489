//! What becomes of the leaves that a row ends in: sums, then scores, then a class.

use tract_nnef::internal::*;

use super::forest::{Forest, Threshold};
use super::score::{self, Cell};

/// How many rows go through one tree before the next.
const BLOCK: usize = 64;

/// How the weights of all trees are made one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregate {
    /// Their sum.
    #[default]
    Sum,
    /// Their sum over the number of trees.
    Average,
    /// The least of them.
    Min,
    /// The greatest of them.
    Max,
}

/// What is done to the scores at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PostTransform {
    /// Nothing.
    #[default]
    None,
    /// Each on its own: `1 / (1 + exp(-x))`.
    Logistic,
    /// All of a row: they add up to one.
    Softmax,
    /// As [`PostTransform::Softmax`], but zero stays zero.
    SoftmaxZero,
    /// Each on its own: the quantile of the normal distribution, approximately.
    Probit,
}

/// What the scores are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// They are the answer: one per target.
    Scores,
    /// They choose a class: one per class, two where the weights count for one class only.
    Class,
}

/// Trees that vote.
///
/// What ONNX leaves open is decided as onnxruntime does: with two classes and weights for one of them only, that is
/// the score of class 1, and class 1 is chosen above 0.5 if no weight is negative, else above 0; with one target, no
/// post-transform but [`PostTransform::Probit`] applies.
#[derive(Clone, Debug)]
pub struct Ensemble<T> {
    pub(super) forest: Forest<T>,
    pub(super) aggregate: Aggregate,
    pub(super) post_transform: PostTransform,
    pub(super) finish: Finish,
    pub(super) base_values: Vec<T>,
    /// The weights count for one of two classes.
    pub(super) one_sided: bool,
    pub(super) no_negative_weight: bool,
}

/// What an [`Ensemble`] makes of some rows.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    /// `[rows, targets]`
    pub scores: Vec<f32>,
    /// By row: the class's index. Empty for [`Finish::Scores`].
    pub classes: Vec<i64>,
}

impl<T: Threshold> Ensemble<T> {
    /// Puts `forest` to use. `base_values` is empty, or is added to the scores: one value each, or a single one.
    ///
    /// # Errors
    /// A number of base values that fits no reading; a classifier of fewer than two classes, or that does not sum.
    pub fn new(
        forest: Forest<T>,
        finish: Finish,
        aggregate: Aggregate,
        post_transform: PostTransform,
        base_values: Vec<T>,
    ) -> TractResult<Ensemble<T>> {
        let targets = forest.targets();
        let fits = base_values.is_empty() || base_values.len() == targets || base_values.len() == 1 && targets <= 2;
        ensure!(fits, "{} base values for {targets} targets", base_values.len());
        if finish == Finish::Class {
            ensure!(targets >= 2, "a classifier needs at least two classes, not {targets}");
            ensure!(aggregate == Aggregate::Sum, "a classifier sums, it has no {aggregate:?}");
        }
        let first = forest.weights().first().map(|(target, _)| *target);
        let one_sided = targets == 2 && first.is_some() && forest.weights().iter().all(|(t, _)| Some(*t) == first);
        let no_negative_weight = !forest.weights().iter().any(|(_, weight)| *weight < T::default());
        Ok(Ensemble { forest, aggregate, post_transform, finish, base_values, one_sided, no_negative_weight })
    }

    /// Whether the score of class 1 is its share, to which class 0 has the rest, rather than a leaning to either side.
    pub(super) fn is_share(&self) -> bool {
        self.one_sided && self.no_negative_weight
    }

    /// The trees.
    pub fn forest(&self) -> &Forest<T> {
        &self.forest
    }

    /// How the weights of all trees are made one.
    pub fn aggregate(&self) -> Aggregate {
        self.aggregate
    }

    /// Whether any weight is negative.
    pub fn has_negative_weights(&self) -> bool {
        !self.no_negative_weight
    }

    /// The same with other trees for the same features and targets.
    ///
    /// # Errors
    /// Trees for others, or trees whose weights would have the scores read otherwise: with weights for one of two classes
    /// alone they are shares where none is negative, and leanings where one is.
    pub fn with_forest(&self, forest: Forest<T>) -> TractResult<Ensemble<T>> {
        let sizes = |forest: &Forest<T>| (forest.features(), forest.targets());
        ensure!(sizes(&forest) == sizes(&self.forest), "expected trees for the same features and targets");
        let new = Self::new(forest, self.finish, self.aggregate, self.post_transform, self.base_values.clone())?;
        ensure!(
            new.one_sided == self.one_sided && new.is_share() == self.is_share(),
            "the trees' scores would mean something else"
        );
        Ok(new)
    }

    /// How many features a row needs.
    pub fn features(&self) -> usize {
        self.forest.features()
    }

    /// How many scores a row gets.
    pub fn targets(&self) -> usize {
        self.forest.targets()
    }

    /// Scores `rows` of `width` features each.
    ///
    /// # Errors
    /// Rows with fewer features than the trees look at.
    pub fn eval(&self, rows: &[T], width: usize) -> TractResult<Outcome> {
        ensure!(width >= self.features(), "expected rows of {} features, got {width}", self.features());
        let count = rows.len() / width;
        let mut outcome = Outcome { scores: Vec::with_capacity(count * self.targets()), classes: Vec::new() };
        for block in rows.chunks(BLOCK * width) {
            match self.forest.values() {
                Some(values) => self.eval_single(block, width, values, &mut outcome),
                None => self.eval_many(block, width, &mut outcome),
            }
        }
        Ok(outcome)
    }

    fn eval_single(&self, block: &[T], width: usize, values: &[T], outcome: &mut Outcome) {
        let mut cells = vec![Cell::default(); block.len() / width];
        match self.aggregate {
            Aggregate::Sum | Aggregate::Average => {
                self.forest.walk(block, width, |row, leaf| cells[row].score += leaf.of(values));
            }
            aggregate => self.forest.walk(block, width, |row, leaf| cells[row].add(aggregate, leaf.of(values))),
        }
        cells.chunks_mut(1).for_each(|row| score::finish(self, row, outcome));
    }

    fn eval_many(&self, block: &[T], width: usize, outcome: &mut Outcome) {
        let targets = self.targets();
        let mut cells = vec![Cell::default(); block.len() / width * targets];
        let add = |row: usize, leaf| {
            let cells = &mut cells[row * targets..][..targets];
            for &(target, weight) in self.forest.weights_at(leaf) {
                cells[target as usize].add(self.aggregate, weight);
            }
        };
        self.forest.walk(block, width, add);
        cells.chunks_mut(targets).for_each(|row| score::finish(self, row, outcome));
    }
}
