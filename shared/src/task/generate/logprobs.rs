//! How probable tokens are: the model's own view, before anything a request asks for.

/// A token of a text, and how probable the model found it.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprob {
    /// The token.
    pub id: u32,
    /// The logarithm of its probability.
    pub logprob: f32,
    /// The likeliest tokens at its place with theirs, the likeliest first.
    pub top: Vec<(u32, f32)>,
    /// How many characters of the text stand before it.
    pub offset: usize,
}

/// The log probability of a token, and those of the `alternatives` likeliest ones.
pub(super) fn of(logits: &[f32], id: u32, alternatives: usize) -> (f32, Vec<(u32, f32)>) {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - greatest).exp()).sum();
    let total = f64::from(greatest) + sum.ln();
    let logprob = |logit: f32| (f64::from(logit) - total) as f32;
    let own = logits.get(id as usize).map_or(f32::NEG_INFINITY, |logit| logprob(*logit));
    let count = alternatives.min(logits.len());
    if count == 0 {
        return (own, Vec::new());
    }
    let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
    let order = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    ids.select_nth_unstable_by(count - 1, order);
    ids.truncate(count);
    ids.sort_unstable_by(order);
    (own, ids.into_iter().map(|id| (id, logprob(logits[id as usize]))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probabilities_are_those_of_softmax() {
        let logits = [0.0, 3.0_f32.ln(), 0.0, f32::NEG_INFINITY];
        let (own, top) = of(&logits, 0, 2);
        assert!((own - 0.2_f32.ln()).abs() < 1e-6);
        assert_eq!(top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 0]);
        assert!((top[0].1 - 0.6_f32.ln()).abs() < 1e-6);
        assert_eq!(of(&logits, 3, 9).1.len(), 4);
    }
}
