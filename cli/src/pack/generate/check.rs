//! The check of a language model: the source reads prompts of several lengths in one go, the package token by token, in
//! chunks and two at a time.

use anyhow::{Context as _, Result, bail, ensure};
use emberlite::engine::{CacheFormat, Chunk, Decoder, Want};
use emberlite::model::{GenerateSpec, Model, Verification};

use crate::progress::Progress;

/// Prompts of these lengths in tokens.
const LENGTHS: [usize; 6] = [1, 2, 7, 16, 33, 128];
/// Longer prompts are read in chunks, not token by token.
const SINGLE: usize = 33;
/// What a chunk has.
const CHUNK: usize = 48;
/// How far a logit may be off, as a part of the largest there is.
const TOLERANCE: f32 = 1e-4;

/// Compares the logits after every token of random prompts.
///
/// # Errors
/// A model that fails, or logits that differ.
pub(super) fn compare(
    source: &Decoder,
    packed: &Model,
    spec: &GenerateSpec,
    progress: &Progress,
) -> Result<Verification> {
    let packed = packed.decoder().context("the package holds no language model")?;
    let mut verification = Verification { batch_sizes: vec![1], ..Verification::default() };
    let mut random = fastrand::Rng::with_seed(0);
    let mut prompt = |len: usize| -> Vec<u32> { (0..len).map(|_| random.u32(0..spec.vocabulary as u32)).collect() };
    progress.count("comparing the package with the model", LENGTHS.len());
    for length in LENGTHS {
        let length = length.min(spec.context_tokens);
        if verification.lengths.contains(&length) {
            continue;
        }
        let whole = prompt(length);
        let expected = rows(source, &whole, length).context("the imported model fails")?;
        let step = if length <= SINGLE { 1 } else { CHUNK };
        let got = rows(packed, &whole, step).context("the packed model fails")?;
        let failed = || format!("the package differs from the model on a prompt of {length} tokens");
        let difference = difference(&expected, &got).with_context(failed)?;
        verification.max_abs_difference = verification.max_abs_difference.max(difference);
        verification.lengths.push(length);
        verification.inputs += 1;
        progress.advance();
    }
    let (first, second) = (prompt(9.min(spec.context_tokens)), prompt(5.min(spec.context_tokens)));
    let expected = [rows(source, &first, first.len())?, rows(source, &second, second.len())?];
    let got = together(packed, &first, &second).context("the packed model fails on two prompts at once")?;
    for (expected, got) in expected.iter().zip(&got) {
        let difference =
            difference(expected, got).context("the package differs from the model on two prompts at once")?;
        verification.max_abs_difference = verification.max_abs_difference.max(difference);
        verification.inputs += 1;
    }
    verification.batch_sizes.push(2);
    Ok(verification)
}

/// The logits after every token, of which so many are read in one step.
fn rows(decoder: &Decoder, tokens: &[u32], step: usize) -> Result<Vec<Vec<f32>>> {
    let mut sequence = decoder.sequence(CacheFormat::F32);
    let mut rows = Vec::with_capacity(tokens.len());
    for tokens in tokens.chunks(step.max(1)) {
        let logits = decoder.run(&mut [Chunk { sequence: &mut sequence, tokens, want: Want::All }])?;
        rows.extend(logits.rows(0).map(<[f32]>::to_vec));
    }
    ensure!(rows.len() == tokens.len(), "{} tokens have logits in {} places", tokens.len(), rows.len());
    Ok(rows)
}

/// The logits after every token of two prompts that are read in the same steps.
fn together(decoder: &Decoder, first: &[u32], second: &[u32]) -> Result<[Vec<Vec<f32>>; 2]> {
    let mut sequences = [decoder.sequence(CacheFormat::F32), decoder.sequence(CacheFormat::F32)];
    let mut rows = [Vec::new(), Vec::new()];
    let halves = |tokens: &[u32]| tokens.split_at(tokens.len().div_ceil(2)).0.len();
    let (first, second) = (first.split_at(halves(first)), second.split_at(halves(second)));
    for (first, second) in [(first.0, second.0), (first.1, second.1)] {
        let [one, two] = &mut sequences;
        let given = [(0, one, first), (1, two, second)].into_iter().filter(|(_, _, tokens)| !tokens.is_empty());
        let (places, mut chunks): (Vec<usize>, Vec<Chunk<'_>>) =
            given.map(|(place, sequence, tokens)| (place, Chunk { sequence, tokens, want: Want::All })).unzip();
        if chunks.is_empty() {
            continue;
        }
        let logits = decoder.run(&mut chunks)?;
        for (chunk, place) in places.into_iter().enumerate() {
            rows[place].extend(logits.rows(chunk).map(<[f32]>::to_vec));
        }
    }
    Ok(rows)
}

/// The largest difference of two tables of logits; one beyond the tolerance is an error.
fn difference(expected: &[Vec<f32>], got: &[Vec<f32>]) -> Result<f64> {
    ensure!(expected.len() == got.len(), "expected {} rows of logits, got {}", expected.len(), got.len());
    let largest = expected.iter().flatten().fold(1.0f32, |largest, logit| largest.max(logit.abs()));
    let mut greatest = 0.0f64;
    for (place, (expected, got)) in expected.iter().zip(got).enumerate() {
        for (token, (expected, got)) in expected.iter().zip(got).enumerate() {
            let difference = (expected - got).abs();
            // A NaN is within no tolerance.
            let within = difference <= TOLERANCE * largest;
            if !within {
                bail!("after token {place} the logit of {token} is {got}, expected {expected}");
            }
            greatest = greatest.max(difference.into());
        }
    }
    Ok(greatest)
}
