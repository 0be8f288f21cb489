//! Which candidate is tried next.
//!
//! From the model as it is, every move is tried alone: weights in another format, and a little more taken out by each
//! method. The one that gains most for what it costs is kept, and so on until nothing fits the budget any more.

use std::fmt;

use anyhow::Result;

use crate::prune::{Method, Part, Step};
use crate::quantize::Scheme;

/// How much more of its parts a method takes out at once.
const STRIDE: f64 = 0.125;
/// How much a method takes out first that holds weights at zero: less gains nothing.
const FIRST_THINNING: f64 = 0.375;
/// The most that a method may take out.
const MOST: f64 = 0.75;
/// What a step must gain, as a part of the cost: less is within what measuring it again would give.
const GAIN: f64 = 0.01;

/// The formats and the methods that fit a kind of model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// How weights may be written down.
    pub schemes: Vec<Scheme>,
    /// What may be taken out.
    pub methods: Vec<Method>,
}

/// One way to make a model smaller.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What is taken out.
    pub prune: Vec<Step>,
    /// How the weights that are left are written down.
    pub scheme: Scheme,
}

impl Candidate {
    /// The model as it is.
    pub fn unchanged() -> Self {
        Self { prune: Vec::new(), scheme: Scheme::None }
    }

    /// The candidate after a move; none where the move leads nowhere.
    fn after(&self, change: Move) -> Option<Self> {
        match change {
            Move::Format(scheme) => (scheme != self.scheme).then(|| Self { scheme, ..self.clone() }),
            Move::More(method) => self.with_more(method),
        }
    }

    /// The same with a little more taken out by a method; none where it may take no more.
    fn with_more(&self, method: Method) -> Option<Self> {
        let mut prune = self.prune.clone();
        let place = prune.iter().position(|step| step.method == method);
        let first = if method.is_thinning() { FIRST_THINNING } else { STRIDE };
        let amount = place.map_or(first, |place| prune[place].amount.get() + STRIDE);
        let amount = Part::new(amount).ok().filter(|amount| amount.get() <= MOST)?;
        match place {
            Some(place) => prune[place].amount = amount,
            // Weights are held at zero last, by one of the methods that do so.
            None => match prune.iter().position(|step| step.method.is_thinning()) {
                Some(_) if method.is_thinning() => return None,
                Some(place) => prune.insert(place, Step { method, amount, keep: Vec::new() }),
                None => prune.push(Step { method, amount, keep: Vec::new() }),
            },
        }
        Some(Self { prune, scheme: self.scheme })
    }
}

/// One change of a candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Move {
    /// The weights in this format.
    Format(Scheme),
    /// More taken out by this method.
    More(Method),
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.scheme)?;
        self.prune.iter().try_for_each(|step| write!(f, ", {step}"))
    }
}

/// What a candidate was measured to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// What it loses.
    pub loss: f64,
    /// What is to become small.
    pub cost: f64,
}

/// Measures candidates.
pub trait Judge {
    /// Builds a candidate and measures it; none for one that the model has no form in.
    ///
    /// # Errors
    /// What ends the search.
    fn judge(&mut self, candidate: &Candidate) -> Result<Option<Trial>>;
}

/// The best candidate that loses at most `max_loss`; the model as it is where there is none. At most `trials` are measured.
///
/// # Errors
/// Those of the judge.
pub fn search(space: &Space, max_loss: f64, trials: usize, judge: &mut dyn Judge) -> Result<Candidate> {
    let mut search = Search { max_loss, left: trials, judge };
    let mut best = Candidate::unchanged();
    let Some(mut now) = search.measure(&best)? else { return Ok(best) };
    let formats = space.schemes.iter().copied().map(Move::Format);
    let mut moves: Vec<Move> = formats.chain(space.methods.iter().copied().map(Move::More)).collect();
    while let Some((candidate, trial)) = search.step(&best, now, &mut moves)? {
        (best, now) = (candidate, trial);
    }
    Ok(best)
}

struct Search<'a> {
    max_loss: f64,
    left: usize,
    judge: &'a mut dyn Judge,
}

impl Search<'_> {
    /// Measures a candidate, unless enough were measured; none for one that loses too much or has no form.
    fn measure(&mut self, candidate: &Candidate) -> Result<Option<Trial>> {
        if self.left == 0 {
            return Ok(None);
        }
        let trial = self.judge.judge(candidate)?;
        // One that has no form was not measured.
        self.left -= usize::from(trial.is_some());
        Ok(trial.filter(|trial| trial.loss <= self.max_loss))
    }

    /// Tries each move by itself and gives the candidate of the one that gains most for what it costs. Moves that lead
    /// nowhere, lose too much or gain nothing are not tried again; none where no other is left.
    fn step(&mut self, from: &Candidate, now: Trial, moves: &mut Vec<Move>) -> Result<Option<(Candidate, Trial)>> {
        let mut tried: Vec<(Move, f64, Candidate, Trial)> = Vec::new();
        // Empty blocks gain nothing before the weights are in int8.
        let mut waiting: Vec<Move> = Vec::new();
        for change in std::mem::take(moves) {
            if change == Move::More(Method::Blocks) && from.scheme != Scheme::Int8 {
                waiting.push(change);
                continue;
            }
            let Some(candidate) = from.after(change) else { continue };
            let Some(trial) = self.measure(&candidate)? else { continue };
            let gain = 1.0 - trial.cost / now.cost;
            let price = (trial.loss - now.loss).max(self.max_loss * GAIN);
            if gain >= GAIN {
                tried.push((change, gain / price, candidate, trial));
            }
        }
        let best = tried.iter().max_by(|(_, a, ..), (_, b, ..)| a.total_cmp(b));
        let Some((change, _, candidate, trial)) = best.cloned() else { return Ok(None) };
        // A format that costs more than the one that was chosen gains nothing after it.
        let dear = |other: Move, cost: f64| {
            matches!((change, other), (Move::Format(_), Move::Format(_))) && cost >= trial.cost
        };
        moves.append(&mut waiting);
        moves.extend(tried.iter().filter(|(other, .., tried)| !dear(*other, tried.cost)).map(|(other, ..)| *other));
        Ok(Some((candidate, trial)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model whose neurons cost much and do little, whose heads do much, and which has no trees.
    struct Made {
        measured: Vec<String>,
    }

    impl Judge for Made {
        fn judge(&mut self, candidate: &Candidate) -> Result<Option<Trial>> {
            let (mut loss, mut cost) = match candidate.scheme {
                Scheme::None => (0.0, 100.0),
                Scheme::F16 => (0.0001, 95.0),
                Scheme::Int8 => (0.002, 40.0),
                _ => (0.05, 30.0),
            };
            for step in &candidate.prune {
                let amount = step.amount.get();
                match step.method {
                    Method::Neurons => (loss, cost) = (loss + 0.02 * amount, cost * (1.0 - 0.6 * amount)),
                    Method::Heads => (loss, cost) = (loss + 0.1 * amount, cost * (1.0 - 0.2 * amount)),
                    Method::LowRank => loss += 0.0001,
                    Method::Blocks => {
                        assert_eq!(candidate.scheme, Scheme::Int8);
                        (loss, cost) = (loss + 0.08 * (amount - 0.25), cost * (1.1 - 0.7 * amount));
                    }
                    _ => return Ok(None),
                }
            }
            self.measured.push(candidate.to_string());
            Ok(Some(Trial { loss, cost }))
        }
    }

    fn space() -> Space {
        Space {
            schemes: vec![Scheme::F16, Scheme::Int8, Scheme::Q4],
            methods: vec![Method::Trees, Method::LowRank, Method::Heads, Method::Neurons],
        }
    }

    fn found(max_loss: f64, trials: usize) -> (String, Vec<String>) {
        let mut made = Made { measured: Vec::new() };
        let found = search(&space(), max_loss, trials, &mut made).unwrap();
        (found.to_string(), made.measured)
    }

    #[test]
    fn what_gains_most_for_its_cost_goes_first_and_the_budget_is_kept() {
        let (best, _) = found(0.0125, 100);
        assert_eq!(best, "int8, neurons=50%");
        assert_eq!(found(0.0001, 100).0, "f16");
        assert_eq!(found(0.06, 100).0, "int8, neurons=75%, heads=37.5%");
    }

    #[test]
    fn blocks_go_once_weights_are_in_int8_and_after_all_else() {
        let mut made = Made { measured: Vec::new() };
        let space = Space { methods: vec![Method::Blocks, Method::Weights, Method::Neurons], ..space() };
        let found = search(&space, 0.04, 100, &mut made).unwrap();
        assert_eq!(found.to_string(), "int8, neurons=75%, blocks=50%");
    }

    #[test]
    fn a_method_that_gains_nothing_or_has_nothing_is_tried_once() {
        let (_, measured) = found(0.03, 100);
        assert_eq!(measured.iter().filter(|candidate| candidate.contains("low-rank")).count(), 1);
        let mut distinct = measured.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), measured.len(), "{measured:?}");
    }

    #[test]
    fn no_more_are_measured_than_was_allowed() {
        assert_eq!(found(0.06, 6).1.len(), 6);
    }

    #[test]
    fn where_nothing_fits_the_model_stays_as_it_is() {
        struct Poor;
        impl Judge for Poor {
            fn judge(&mut self, _: &Candidate) -> Result<Option<Trial>> {
                Ok(Some(Trial { loss: 1.0, cost: 1.0 }))
            }
        }
        assert_eq!(search(&space(), 0.01, 10, &mut Poor).unwrap().to_string(), "none");
    }
}
