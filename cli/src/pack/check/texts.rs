//! The check of a model of texts: token ids of several lengths and batch sizes, some rows padded.

use anyhow::{Context as _, Result};
use emberlite::engine::Plan;
use emberlite::model::{Model, Verification};

use super::{Tolerance, largest_difference};
use crate::pack::text::{Sample, Samples, Side};

/// Rows and tokens of each run. Where there are several rows, the later ones are shorter and padded.
const SHAPES: [(usize, usize); 7] = [(1, 1), (1, 2), (2, 7), (5, 16), (3, 33), (1, 128), (2, 512)];

/// Compares the outputs of both sides, which count real tokens alone.
pub(in crate::pack) fn compare_texts(source: &Plan, packed: &Model, samples: &Samples) -> Result<Verification> {
    let mut verification = Verification::default();
    let mut random = fastrand::Rng::with_seed(0);
    for (rows, tokens) in SHAPES {
        let tokens = tokens.min(samples.max_tokens());
        if verification.lengths.contains(&tokens) {
            continue;
        }
        let length = |row: usize| tokens - row * (tokens - 1) / rows;
        let real: Vec<Sample> = (0..rows).map(|row| samples.real(length(row), &mut random)).collect();
        let any: Vec<Sample> = (0..rows).map(|row| samples.random(length(row), &mut random)).collect();
        for batch in [real, any] {
            let failed = |what: &str| format!("{what} fails on {rows} texts of up to {tokens} tokens");
            let expected = source.run(samples.tensors(&batch, Side::Source)?);
            let got = packed.run(samples.tensors(&batch, Side::Packed)?);
            let (expected, got) = (
                expected.with_context(|| failed("the imported model"))?,
                got.with_context(|| failed("the packed model"))?,
            );
            let difference =
                largest_difference(packed.manifest(), &expected, &got, Tolerance::FUSED).with_context(|| {
                    format!("the package differs from the model on {rows} texts of up to {tokens} tokens")
                })?;
            verification.max_abs_difference = verification.max_abs_difference.max(difference);
            verification.inputs += rows;
        }
        verification.lengths.push(tokens);
        if !verification.batch_sizes.contains(&rows) {
            verification.batch_sizes.push(rows);
        }
    }
    verification.lengths.sort_unstable();
    verification.batch_sizes.sort_unstable();
    Ok(verification)
}
