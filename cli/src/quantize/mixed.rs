//! Formats chosen layer by layer: each as small as it may be within a loss of the whole model.
//!
//! What each layer costs alone in each format is measured. From the largest formats on, layers take the next smaller one in
//! the order of what they lose for each byte that they save; how far that may go is found by halving, each time with the
//! loss of the whole model.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow};
use emberlite::ops::{Embedding, Linear, WeightFormat};
use tract_core::internal::TypedOp;
use tract_core::prelude::TypedModel;

use super::{Quantizer, Scheme, layers, replaced};
use crate::calibrate::Calibration;
use crate::progress::Progress;
use crate::recipe::QuantizeSettings;

/// How often what is chosen is rounded layer after layer, to see whether smaller formats fit.
const ROUNDS: usize = 3;

/// The smallest format of each layer, of these, with which the whole model loses no more than `max_loss` against its
/// source; the largest of each where the model always loses more.
///
/// # Errors
/// No format to choose from, or a model that fails.
pub fn mixed(
    model: &TypedModel,
    candidates: &[WeightFormat],
    calibration: &dyn Calibration,
    max_loss: f64,
    progress: &Progress,
) -> Result<BTreeMap<String, WeightFormat>> {
    let (settings, given, fixed) = (QuantizeSettings::default(), BTreeMap::new(), BTreeMap::new());
    let scheme = Scheme::Auto;
    let quantizer =
        Quantizer { scheme, settings: &settings, given: &given, layer_errors: false, calibration, progress };
    let mixing = Mixing { quantizer: &quantizer, candidates, fixed: &fixed, max_loss };
    Ok(mixing.choose(model)?.0)
}

/// What is chosen from, and how much it may cost.
pub(super) struct Mixing<'a> {
    pub(super) quantizer: &'a Quantizer<'a>,
    pub(super) candidates: &'a [WeightFormat],
    /// Layers whose format is not to be chosen.
    pub(super) fixed: &'a BTreeMap<String, WeightFormat>,
    pub(super) max_loss: f64,
}

/// A layer in one of the formats.
#[derive(Debug)]
struct Choice {
    format: WeightFormat,
    bytes: usize,
    /// What the model loses where this layer alone is so.
    loss: f64,
    op: Box<dyn TypedOp>,
}

/// A layer that takes the next of its choices, and what that costs for each byte it saves.
#[derive(Debug, PartialEq)]
struct Move {
    layer: String,
    price: f64,
}

impl Mixing<'_> {
    /// What the scheme `auto` chooses from.
    pub(super) const CANDIDATES: [WeightFormat; 3] = [WeightFormat::Q4, WeightFormat::Int8, WeightFormat::F16];

    /// The format of each layer, and the model with its layers so.
    ///
    /// # Errors
    /// As [`mixed`].
    pub(super) fn choose(&self, model: &TypedModel) -> Result<(BTreeMap<String, WeightFormat>, TypedModel)> {
        let calibration = self.quantizer.calibration;
        let choices = self.choices(model)?;
        let moves = moves(&choices);
        let apply = |count: usize| {
            let chosen = chosen(&choices, &moves[..count]);
            let ops = chosen.iter().map(|(layer, choice)| ((*layer).clone(), choice.op.clone()));
            replaced(model, ops.collect())
        };
        let mut allowed = self.max_loss;
        let mut found: Option<(usize, TypedModel)> = None;
        self.quantizer.progress.step("choosing each layer's format");
        for _ in 0..ROUNDS {
            let count = most(moves.len(), |count| Ok(calibration.loss(&apply(count)?)? <= allowed))?;
            if found.as_ref().is_some_and(|(before, _)| *before >= count) {
                break;
            }
            let alone = apply(count)?;
            let fitted = self.quantizer.quantized(model, &formats(&chosen(&choices, &moves[..count])))?;
            let (loss_alone, loss) = (calibration.loss(&alone)?, calibration.loss(&fitted)?);
            if loss > self.max_loss {
                found = found.or((loss_alone <= self.max_loss).then_some((count, alone)));
                break;
            }
            found = Some((count, fitted));
            // Rounded layer after layer it loses less, so that more moves may fit.
            allowed = self.max_loss * (loss_alone / loss.max(f64::MIN_POSITIVE)).clamp(1.0, 4.0);
        }
        let (count, model) = match found {
            Some(found) => found,
            None => (0, apply(0)?),
        };
        Ok((formats(&chosen(&choices, &moves[..count])), model))
    }

    /// Every layer's choices, the largest first.
    fn choices(&self, model: &TypedModel) -> Result<BTreeMap<String, Vec<Choice>>> {
        let Quantizer { calibration, progress, .. } = *self.quantizer;
        let layers = layers(model);
        let reference = calibration.outputs(model)?;
        let mut choices: BTreeMap<String, Vec<Choice>> = BTreeMap::new();
        let mut wholes = Vec::new();
        for format in self.candidates {
            let all = |layer: &String| (layer.clone(), self.fixed.get(layer).copied().unwrap_or(*format));
            wholes.push((*format, self.quantizer.independently(model, &layers.iter().map(all).collect())?));
        }
        progress.count("measuring what each layer loses", layers.len() * wholes.len());
        for layer in &layers {
            for (format, whole) in &wholes {
                progress.advance();
                let format = self.fixed.get(layer).copied().unwrap_or(*format);
                let node = whole.node_by_name(layer).map_err(|error| anyhow!("{error:#}"))?;
                let (op, bytes) = (node.op.clone(), bytes(&*node.op));
                let known = choices.entry(layer.clone()).or_default();
                if known.iter().any(|choice| choice.bytes == bytes) {
                    continue;
                }
                let alone = replaced(model, BTreeMap::from([(layer.clone(), op.clone())]))?;
                let loss = calibration.distance(&reference, &calibration.outputs(&alone)?);
                known.push(Choice { format, bytes, loss, op });
            }
        }
        for (layer, choices) in &mut choices {
            choices.sort_by_key(|choice| std::cmp::Reverse(choice.bytes));
            worthwhile(choices);
            choices.first().with_context(|| format!("{layer} has no format to choose from"))?;
        }
        Ok(choices)
    }
}

/// Leaves out the choices that cost more for each byte saved than the next smaller one does.
fn worthwhile(choices: &mut Vec<Choice>) {
    let mut at = 1;
    while at + 1 < choices.len() {
        if price(&choices[at - 1], &choices[at]) > price(&choices[at], &choices[at + 1]) {
            choices.remove(at);
            at = at.saturating_sub(1).max(1);
        } else {
            at += 1;
        }
    }
}

/// What a byte saved costs.
fn price(from: &Choice, to: &Choice) -> f64 {
    (to.loss - from.loss) / (from.bytes - to.bytes).max(1) as f64
}

/// All steps from the largest choices to the smallest, the cheapest first.
fn moves(choices: &BTreeMap<String, Vec<Choice>>) -> Vec<Move> {
    let of_layer = |(layer, choices): (&String, &Vec<Choice>)| {
        let moves = choices.windows(2).map(|pair| Move { layer: layer.clone(), price: price(&pair[0], &pair[1]) });
        moves.collect::<Vec<_>>()
    };
    let mut moves: Vec<Move> = choices.iter().flat_map(of_layer).collect();
    // A layer's own moves are in order already, and stay so where their prices are equal.
    moves.sort_by(|a, b| a.price.total_cmp(&b.price));
    moves
}

/// Each layer's choice after some moves.
fn chosen<'a>(choices: &'a BTreeMap<String, Vec<Choice>>, moves: &[Move]) -> BTreeMap<&'a String, &'a Choice> {
    let of_layer = |(layer, choices): (&'a String, &'a Vec<Choice>)| {
        let taken = moves.iter().filter(|step| step.layer == *layer).count();
        choices.get(taken).map(|choice| (layer, choice))
    };
    choices.iter().filter_map(of_layer).collect()
}

fn formats(chosen: &BTreeMap<&String, &Choice>) -> BTreeMap<String, WeightFormat> {
    chosen.iter().map(|(layer, choice)| ((*layer).clone(), choice.format)).collect()
}

/// The greatest count, up to `all`, that fits, where all smaller ones do too; 0 where none does.
fn most(all: usize, fits: impl Fn(usize) -> Result<bool>) -> Result<usize> {
    if fits(all)? {
        return Ok(all);
    }
    let (mut fit, mut unfit) = (0, all);
    while unfit - fit > 1 {
        let middle = fit + (unfit - fit) / 2;
        if fits(middle)? {
            fit = middle;
        } else {
            unfit = middle;
        }
    }
    Ok(fit)
}

fn bytes(op: &dyn TypedOp) -> usize {
    let of_tables = |embedding: &Embedding| embedding.tables().iter().map(|(table, _)| table.size_bytes()).sum();
    let linear = op.downcast_ref::<Linear>().map(Linear::size_bytes);
    linear.or_else(|| op.downcast_ref::<Embedding>().map(of_tables)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(bytes: usize, loss: f64) -> Choice {
        let op = Linear::new(&[1.0], 1, 1, None).unwrap();
        Choice { format: WeightFormat::F32, bytes, loss, op: Box::new(op) }
    }

    #[test]
    fn layers_shrink_in_the_order_of_what_a_byte_costs() {
        let choices = BTreeMap::from([
            ("cheap".to_owned(), vec![choice(100, 0.0), choice(50, 0.001), choice(25, 0.002)]),
            ("dear".to_owned(), vec![choice(100, 0.0), choice(50, 0.1)]),
        ]);
        let moves = moves(&choices);
        let order: Vec<&str> = moves.iter().map(|step| step.layer.as_str()).collect();
        assert_eq!(order, ["cheap", "cheap", "dear"]);
        let sizes = |count| chosen(&choices, &moves[..count]).values().map(|choice| choice.bytes).collect::<Vec<_>>();
        assert_eq!([sizes(0), sizes(1), sizes(3)], [[100, 100], [50, 100], [25, 50]]);
    }

    #[test]
    fn a_format_that_saves_less_for_more_is_passed_over() {
        let mut choices = vec![choice(100, 0.0), choice(90, 0.1), choice(50, 0.1), choice(49, 5.0)];
        worthwhile(&mut choices);
        assert_eq!(choices.iter().map(|choice| choice.bytes).collect::<Vec<_>>(), [100, 50, 49]);
    }

    #[test]
    fn the_most_that_fits_is_found_by_halving() {
        for all in 0..20 {
            for limit in 0..=all {
                assert_eq!(most(all, |count| Ok(count <= limit)).unwrap(), limit);
            }
        }
    }
}
