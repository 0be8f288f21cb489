//! Rows of equal length in one batch, batches side by side.

use std::sync::OnceLock;

use emberlite_kernels::threads;
use tract_core::prelude::Tensor;

use super::TextError;
use crate::engine::tensor::from_vec;
use crate::model::{Model, TextSpec};
use crate::tokenizer::Tokens;

/// The most tokens in one batch: beyond that nothing is won, and activations take memory.
const BATCH_TOKENS: usize = 8192;

/// The first output's row for each row of tokens.
pub(super) fn run(model: &Model, rows: &[&Tokens]) -> Result<Vec<Vec<f32>>, TextError> {
    let Some(spec) = &model.manifest().text else { return Err(TextError::NoTexts) };
    let batches = batches(&rows.iter().map(|row| row.ids.len()).collect::<Vec<_>>(), threads::count());
    let outputs = each(&batches, |batch| {
        let rows: Vec<_> = batch.iter().map(|&row| rows[row]).collect();
        run_batch(model, spec, &rows)
    });
    let mut ordered = vec![Vec::new(); rows.len()];
    for (batch, outputs) in batches.iter().zip(outputs) {
        for (&row, output) in batch.iter().zip(outputs?) {
            ordered[row] = output;
        }
    }
    Ok(ordered)
}

/// The rows of each batch: all of one length, and so many batches that every thread has work.
fn batches(lengths: &[usize], threads: usize) -> Vec<Vec<usize>> {
    let tokens: usize = lengths.iter().sum();
    let most = tokens.div_ceil(threads.max(1)).min(BATCH_TOKENS);
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&row| std::cmp::Reverse(lengths[row]));
    let same_length = order.chunk_by(|&a, &b| lengths[a] == lengths[b]);
    same_length
        .flat_map(|rows| {
            let per_batch = (most / lengths[rows[0]].max(1)).max(1);
            rows.chunks(per_batch).map(<[usize]>::to_vec)
        })
        .collect()
}

/// Runs rows of one length.
fn run_batch(model: &Model, spec: &TextSpec, rows: &[&Tokens]) -> Result<Vec<Vec<f32>>, TextError> {
    let length = rows.first().map_or(0, |row| row.ids.len());
    let shape = [rows.len(), length];
    let inputs = model.manifest().inputs.iter().map(|input| {
        let name = Some(&input.name);
        let elements: Vec<i64> = if name == Some(&spec.ids) {
            rows.iter().flat_map(|row| &row.ids).copied().collect()
        } else if name == spec.segments.as_ref() {
            rows.iter().flat_map(|row| &row.segments).copied().collect()
        } else if name == spec.positions.as_ref() {
            rows.iter().flat_map(|_| 0..length as i64).collect()
        } else {
            vec![1; rows.len() * length]
        };
        from_vec(&shape, elements).map_err(TextError::Run)
    });
    let outputs = model.run(inputs.collect::<Result<_, _>>()?)?;
    let output = outputs.first().ok_or_else(|| TextError::Run("the graph has no output".to_owned()))?;
    split(output, rows.len())
}

/// The rows of an output `[rows, width]`, or `[rows]`.
fn split(output: &Tensor, rows: usize) -> Result<Vec<Vec<f32>>, TextError> {
    let failed = |reason: String| TextError::Run(reason);
    let numbers = output.cast_to::<f32>().map_err(|error| failed(error.to_string()))?;
    let view = numbers.try_as_plain_ram().map_err(|error| failed(error.to_string()))?;
    let numbers = view.as_slice::<f32>().map_err(|error| failed(error.to_string()))?;
    if output.shape().first() != Some(&rows) || output.rank() > 2 || numbers.is_empty() {
        return Err(failed(format!("the output has the shape {:?} for {rows} texts", output.shape())));
    }
    if numbers.iter().any(|number| !number.is_finite()) {
        return Err(failed("an output is no finite number".to_owned()));
    }
    Ok(numbers.chunks(numbers.len() / rows).map(<[f32]>::to_vec).collect())
}

/// `work` on each item, on as many threads as there are; results in the items' order.
pub(super) fn each<T: Sync, R: Send + Sync>(items: &[T], work: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
    let results: Vec<_> = items.iter().map(|_| OnceLock::new()).collect();
    threads::split(items.len(), |position| {
        let _ = results[position].set(work(&items[position]));
    });
    results.into_iter().filter_map(OnceLock::into_inner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_holds_rows_of_one_length_and_not_too_many_tokens() {
        let lengths = [7, 500, 7, 3, 500, 7].repeat(40);
        for threads in [1, 2, 5] {
            let batches = batches(&lengths, threads);
            let mut seen: Vec<_> = batches.concat();
            seen.sort_unstable();
            assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for batch in batches {
                assert!(batch.iter().all(|&row| lengths[row] == lengths[batch[0]]));
                assert!(batch.len() * lengths[batch[0]] <= BATCH_TOKENS);
            }
        }
    }

    #[test]
    fn a_text_longer_than_a_batch_is_a_batch_of_its_own() {
        assert_eq!(batches(&[10_000, 10_000], 1), [[0], [1]]);
    }

    #[test]
    fn texts_of_one_length_are_shared_among_the_threads() {
        assert_eq!(batches(&[4; 8], 2).len(), 2);
        assert_eq!(batches(&[4; 8], 1).len(), 1);
    }

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..100).collect();
        assert_eq!(each(&items, |item| item * 2), items.iter().map(|item| item * 2).collect::<Vec<_>>());
    }
}
