//! Texts to calibrate a model with.

use std::cell::OnceCell;

use anyhow::Result;
use emberlite::engine::Plan;
use tract_core::prelude::TypedModel;

use super::{Prepared, Side};
use crate::calibrate::Calibration;
use crate::progress::Progress;
use crate::quantize::Measure;

/// How many texts losses are measured on.
const LOSS_TEXTS: usize = 32;

/// The texts of a model that is being packed, and what its source makes of some of them.
pub(super) struct Texts<'a> {
    prepared: &'a Prepared,
    measure: Measure,
    expected: OnceCell<Vec<Vec<f32>>>,
}

impl<'a> Texts<'a> {
    pub(super) fn new(prepared: &'a Prepared, measure: Measure) -> Self {
        Self { prepared, measure, expected: OnceCell::new() }
    }
}

impl Calibration for Texts<'_> {
    fn name(&self) -> &str {
        self.prepared.samples.name()
    }

    fn run(&self, model: &TypedModel, progress: &Progress) -> Result<()> {
        let plan = Plan::new(model.clone())?;
        let inputs = self.prepared.samples.calibration()?;
        progress.count("reading the texts to calibrate with", inputs.len());
        for inputs in inputs {
            plan.run(inputs)?;
            progress.advance();
        }
        Ok(())
    }

    fn outputs(&self, model: &TypedModel) -> Result<Vec<Vec<f32>>> {
        let plan = Plan::new(model.clone())?;
        self.prepared.samples.probe(Side::Packed, LOSS_TEXTS)?.rows(|inputs| plan.run(inputs))
    }

    fn expected(&self) -> Result<&[Vec<f32>]> {
        if self.expected.get().is_none() {
            let source = &self.prepared.source;
            let rows = self.prepared.samples.probe(Side::Source, LOSS_TEXTS)?.rows(|inputs| source.run(inputs))?;
            drop(self.expected.set(rows));
        }
        Ok(self.expected.get().map_or(&[], Vec::as_slice))
    }

    fn distance(&self, expected: &[Vec<f32>], got: &[Vec<f32>]) -> f64 {
        self.measure.error(expected, got)
    }
}
