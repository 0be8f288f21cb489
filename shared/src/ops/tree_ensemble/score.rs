//! From what the trees of a row add up to, to its scores and its class.

use super::ensemble::{Aggregate, Ensemble, Finish, Outcome, PostTransform};
use super::forest::Threshold;

/// What the trees add up to for one target.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell<T> {
    pub(super) score: T,
    /// Whether any leaf had a weight for the target. Not kept where it makes no difference: one target, summed.
    pub(super) present: bool,
}

impl<T: Threshold> Cell<T> {
    #[inline(always)]
    pub(super) fn add(&mut self, aggregate: Aggregate, weight: T) {
        match aggregate {
            Aggregate::Sum | Aggregate::Average => self.score += weight,
            Aggregate::Min if !self.present || weight < self.score => self.score = weight,
            Aggregate::Max if !self.present || weight > self.score => self.score = weight,
            Aggregate::Min | Aggregate::Max => {}
        }
        self.present = true;
    }
}

/// Appends to `outcome` what the row's `cells`, one per target, come to.
pub(super) fn finish<T: Threshold>(ensemble: &Ensemble<T>, cells: &mut [Cell<T>], outcome: &mut Outcome) {
    match (ensemble.finish, cells.len()) {
        (Finish::Scores, _) => regress(ensemble, cells, &mut outcome.scores),
        (Finish::Class, 2) => outcome.classes.push(choose_of_two(ensemble, cells, &mut outcome.scores)),
        (Finish::Class, _) => outcome.classes.push(choose(ensemble, cells, &mut outcome.scores)),
    }
}

fn regress<T: Threshold>(ensemble: &Ensemble<T>, cells: &mut [Cell<T>], scores: &mut Vec<f32>) {
    if ensemble.aggregate == Aggregate::Average {
        cells.iter_mut().for_each(|cell| cell.score /= T::from_count(ensemble.forest.trees()));
    }
    if ensemble.base_values.len() == cells.len() {
        cells.iter_mut().zip(&ensemble.base_values).for_each(|(cell, &base)| cell.score += base);
    }
    match cells {
        [cell] if ensemble.post_transform == PostTransform::Probit => scores.push(probit(cell.score.to_f32())),
        [cell] => scores.push(cell.score.to_f32()),
        cells => write(ensemble.post_transform, cells, scores),
    }
}

fn choose<T: Threshold>(ensemble: &Ensemble<T>, cells: &mut [Cell<T>], scores: &mut Vec<f32>) -> i64 {
    for (cell, &base) in cells.iter_mut().zip(&ensemble.base_values) {
        cell.score += base;
        cell.present = true;
    }
    let mut best: Option<(usize, T)> = None;
    for (class, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.present) {
        if best.is_none_or(|(_, score)| cell.score > score) {
            best = Some((class, cell.score));
        }
    }
    write(ensemble.post_transform, cells, scores);
    best.map_or(0, |(class, _)| class as i64)
}

fn choose_of_two<T: Threshold>(ensemble: &Ensemble<T>, cells: &mut [Cell<T>], scores: &mut Vec<f32>) -> i64 {
    let [first, second] = cells else { return 0 };
    match *ensemble.base_values.as_slice() {
        [_, base] if second.present => {
            second.score = first.score;
            second.score += base;
            first.score = -second.score;
        }
        [base_first, base_second] => {
            second.score += base_second;
            first.score += base_first;
        }
        [base] => first.score += base,
        _ => {}
    }
    let decisive = if second.present { second.score } else { first.score };
    let class = i64::from(decisive.to_f32() > if ensemble.is_share() { 0.5 } else { 0.0 });
    match second.present || ensemble.base_values.len() == 2 {
        true => write(ensemble.post_transform, cells, scores),
        false => scores.extend(pair(ensemble, first.score.to_f32())),
    }
    class
}

/// The scores of both classes where only one score is known.
fn pair<T: Threshold>(ensemble: &Ensemble<T>, score: f32) -> [f32; 2] {
    match ensemble.post_transform {
        _ if ensemble.is_share() => [1.0 - score, score],
        PostTransform::Logistic => [logistic(-score), logistic(score)],
        _ => [-score, score],
    }
}

/// Appends the scores of two targets or more. One that no leaf had a weight for is 0, whatever its base value.
fn write<T: Threshold>(post_transform: PostTransform, cells: &[Cell<T>], scores: &mut Vec<f32>) {
    let start = scores.len();
    scores.extend(cells.iter().map(|cell| if cell.present { cell.score.to_f32() } else { 0.0 }));
    transform(post_transform, &mut scores[start..]);
}

fn transform(post_transform: PostTransform, scores: &mut [f32]) {
    match post_transform {
        PostTransform::None => {}
        PostTransform::Logistic => scores.iter_mut().for_each(|score| *score = logistic(*score)),
        PostTransform::Probit => scores.iter_mut().for_each(|score| *score = probit(*score)),
        PostTransform::Softmax => softmax(scores, |_| false),
        PostTransform::SoftmaxZero => softmax(scores, |score| score.abs() <= 0.000_000_1),
    }
}

fn logistic(x: f32) -> f32 {
    let half = 1.0 / (1.0 + (-x.abs()).exp());
    if x < 0.0 { 1.0 - half } else { half }
}

/// Scores for which `flat` holds take no part: they keep their sign and, nearly, their nothingness.
fn softmax(scores: &mut [f32], flat: impl Fn(f32) -> bool) {
    let greatest = scores.iter().copied().fold(f32::MIN, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        if flat(*score) {
            *score *= (-greatest).exp();
        } else {
            *score = (*score - greatest).exp();
            sum += *score;
        }
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// The constant `a` of Winitzki's approximation, and `2 / (pi a)` with as much of pi as onnxruntime has.
const A: f32 = 0.147;
const TWO_OVER_PI_A: f32 = 4.3307505;

/// Winitzki's approximation of the inverse error function, as onnxruntime has it.
fn probit(p: f32) -> f32 {
    let x = 2.0 * p - 1.0;
    let log = ((1.0 - x) * (1.0 + x)).ln();
    let half = TWO_OVER_PI_A + 0.5 * log;
    let root = (-half + (half * half - log / A).sqrt()).sqrt();
    std::f32::consts::SQRT_2 * if x < 0.0 { -root } else { root }
}
