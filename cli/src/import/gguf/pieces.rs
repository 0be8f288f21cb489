//! The merges that SentencePiece's pieces stand for: the piece with the highest score is made first.

use std::collections::HashMap;

/// Every pair of pieces that makes a piece, in the order in which pairs are merged, as transformers derives it.
pub(super) fn merges<'a>(pieces: &[&'a str], scores: &[f64]) -> Vec<[&'a str; 2]> {
    let mut ids: HashMap<&str, usize> = HashMap::with_capacity(pieces.len());
    for (id, piece) in pieces.iter().enumerate() {
        ids.entry(piece).or_insert(id);
    }
    let mut found = Vec::new();
    for (piece, score) in pieces.iter().zip(scores) {
        let split = |(place, _): (usize, char)| {
            let (left, right) = piece.split_at(place);
            Some((*ids.get(left)?, *ids.get(right)?, [left, right]))
        };
        let mut pairs: Vec<_> = piece.char_indices().skip(1).filter_map(split).collect();
        pairs.sort_by_key(|(left, right, _)| (*left, *right));
        found.extend(pairs.into_iter().map(|(_, _, pair)| (*score, pair)));
    }
    let length = |text: &str| text.chars().count();
    found.sort_by(|(a, [a_left, a_right]), (b, [b_left, b_right])| {
        let lengths = (length(b_left), length(b_right)).cmp(&(length(a_left), length(a_right)));
        b.total_cmp(a).then(lengths)
    });
    found.into_iter().map(|(_, pair)| pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_piece_with_the_highest_score_is_made_first() {
        let pieces = ["a", "b", "c", "ab", "bc", "abc"];
        let scores = [0.0, 0.0, 0.0, -2.0, -1.0, -3.0];
        assert_eq!(merges(&pieces, &scores), [["b", "c"], ["a", "b"], ["ab", "c"], ["a", "bc"]]);
    }
}
