//! Rows of tokens to the graph's inputs, short rows padded at their end.

use anyhow::{Result, anyhow};
use emberlite::engine::tensor::from_vec;
use emberlite::model::{TensorSpec, TextSpec};
use emberlite::tokenizer::Tokens;
use tract_core::prelude::Tensor;

/// One tensor per input, `[rows, longest]`, in the graph's order.
pub(crate) fn tensors(inputs: &[TensorSpec], spec: &TextSpec, rows: &[Tokens]) -> Result<Vec<Tensor>> {
    let longest = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0);
    let shape = [rows.len(), longest];
    let filled = |pad: i64, row: &dyn Fn(&Tokens) -> Vec<i64>| {
        let mut elements = Vec::with_capacity(rows.len() * longest);
        for tokens in rows {
            elements.extend(row(tokens));
            elements.resize(elements.len().next_multiple_of(longest.max(1)), pad);
        }
        from_vec(&shape, elements).map_err(|reason| anyhow!(reason))
    };
    let count = |tokens: &Tokens| tokens.ids.len();
    let input = |input: &TensorSpec| {
        let name = Some(&input.name);
        if name == Some(&spec.ids) {
            filled(spec.padding_id, &|tokens| tokens.ids.clone())
        } else if name == spec.segments.as_ref() {
            filled(0, &|tokens| tokens.segments.clone())
        } else if name == spec.positions.as_ref() {
            from_vec(&shape, rows.iter().flat_map(|_| 0..longest as i64).collect()).map_err(|reason| anyhow!(reason))
        } else {
            filled(0, &|tokens| vec![1; count(tokens)])
        }
    };
    inputs.iter().map(input).collect()
}

#[cfg(test)]
mod tests {
    use emberlite::model::{Dim, Dtype};

    use super::*;

    #[test]
    fn short_rows_are_padded_at_their_end_and_masked() {
        let spec: TextSpec = serde_json::from_value(serde_json::json!({
            "max_tokens": 8, "ids": "ids", "mask": "mask", "segments": "kinds", "positions": "places", "padding_id": 9
        }))
        .unwrap();
        let shape = vec![Dim::Symbol("N".to_owned()), Dim::Symbol("S".to_owned())];
        let inputs = ["mask", "ids", "places", "kinds"].map(|name| TensorSpec {
            name: name.to_owned(),
            dtype: Dtype::Int64,
            shape: shape.clone(),
            role: None,
        });
        let row = |ids: &[i64], segment| Tokens { ids: ids.to_vec(), segments: vec![segment; ids.len()] };
        let tensors = tensors(&inputs, &spec, &[row(&[1], 1), row(&[2, 3, 4], 1)]).unwrap();
        let expected = [
            [1, 0, 0, 1, 1, 1], //
            [1, 9, 9, 2, 3, 4],
            [0, 1, 2, 0, 1, 2],
            [1, 0, 0, 1, 1, 1],
        ];
        for (tensor, expected) in tensors.iter().zip(expected) {
            assert_eq!(tensor.shape(), [2, 3]);
            assert_eq!(tensor.try_as_plain_ram().unwrap().as_slice::<i64>().unwrap(), expected);
        }
    }
}
