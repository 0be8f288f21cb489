//! The task `rerank`: a query and texts in, the texts by their relevance out.

use super::scores::logistic;
use crate::model::Problem;

/// A text's place among the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rank {
    /// Which text of the request it is.
    pub index: usize,
    /// How relevant it is: from 0 to 1, or the model's own number where that was asked for, or where that is what the
    /// model answers.
    pub score: f32,
}

/// Ranks texts by their logits, `[texts, 1]`, the most relevant first; of equal ones the first of the request.
/// A score is the logit itself for [`Problem::Regression`] or where `raw_scores` asks for it, else the logistic function
/// of it.
pub fn rank(problem: Problem, logits: &[Vec<f32>], raw_scores: bool) -> Vec<Rank> {
    let is_plain = raw_scores || problem == Problem::Regression;
    let logits = logits.iter().map(|logits| logits.first().copied().unwrap_or_default());
    let mut ranks: Vec<_> = logits.enumerate().map(|(index, score)| Rank { index, score }).collect();
    ranks.sort_by(|a, b| b.score.total_cmp(&a.score));
    if !is_plain {
        ranks.iter_mut().for_each(|rank| rank.score = logistic(rank.score));
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_relevant_text_comes_first() {
        let ranks = rank(Problem::MultiLabel, &[vec![-2.0], vec![3.0], vec![0.0]], false);
        assert_eq!(ranks.iter().map(|rank| rank.index).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!(ranks[1].score, 0.5);
        assert_eq!(rank(Problem::MultiLabel, &[vec![-2.0]], true)[0].score, -2.0);
        assert_eq!(rank(Problem::Regression, &[vec![-2.0]], false)[0].score, -2.0);
    }

    #[test]
    fn texts_whose_scores_round_to_one_keep_their_order() {
        let ranks = rank(Problem::MultiLabel, &[vec![30.0], vec![40.0]], false);
        assert_eq!(ranks.iter().map(|rank| (rank.index, rank.score)).collect::<Vec<_>>(), [(1, 1.0), (0, 1.0)]);
    }
}
