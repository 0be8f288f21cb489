//! The task `rerank`: a query and texts in, the texts by their relevance out.

use super::scores::logistic;

/// A text's place among the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rank {
    /// Which text of the request it is.
    pub index: usize,
    /// How relevant it is: from 0 to 1, or the model's own number where that was asked for.
    pub score: f32,
}

/// Ranks texts by their logits, `[texts, 1]`, the most relevant first; of equal ones the first of the request.
pub fn rank(logits: &[Vec<f32>], raw_scores: bool) -> Vec<Rank> {
    let score = |logits: &Vec<f32>| {
        let logit = logits.first().copied().unwrap_or_default();
        if raw_scores { logit } else { logistic(logit) }
    };
    let mut ranks: Vec<_> =
        logits.iter().enumerate().map(|(index, logits)| Rank { index, score: score(logits) }).collect();
    ranks.sort_by(|a, b| b.score.total_cmp(&a.score));
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_relevant_text_comes_first() {
        let ranks = rank(&[vec![-2.0], vec![3.0], vec![0.0]], false);
        assert_eq!(ranks.iter().map(|rank| rank.index).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!(ranks[1].score, 0.5);
        assert_eq!(rank(&[vec![-2.0]], true)[0].score, -2.0);
    }
}
