//! Language models: how well each predicts a text, and how alike.

use serde::Serialize;

use super::{Case, Outcome, shortened};
use crate::verify::answers::Passage;
use crate::verify::language::Predictions;
use crate::verify::statistics::mean;

/// What came of a comparison of language models.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokensOutcome {
    /// How many tokens the source predicted.
    pub tokens: usize,
    /// The source's perplexity.
    pub source_perplexity: f64,
    /// The package's, for each of the source's tokens.
    pub packed_perplexity: f64,
    /// By which part the perplexity grew; below 0 where it fell.
    pub growth: f64,
    /// The mean divergence of Kullback and Leibler of the package's predictions from the source's, in nats; absent where
    /// both have different tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub divergence: Option<f64>,
    /// In which part of the places the same token is the likeliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
}

pub(super) fn compare(
    (passages, source): (&[Passage], &Predictions),
    (others, packed): (&[Passage], &Predictions),
) -> (Outcome, Vec<Case>) {
    let lengths = |passages: &[Passage]| passages.iter().map(|passage| passage.predicted).collect::<Vec<_>>();
    let aligned = lengths(passages) == lengths(others);
    let tokens = source.tokens();
    let total: f64 = packed.losses().iter().sum();
    // The same text in other tokens: what it costs in all is spread over the source's.
    let packed_perplexity = if aligned { packed.perplexity() } else { (total / tokens.max(1) as f64).exp() };
    let outcome = TokensOutcome {
        tokens,
        source_perplexity: source.perplexity(),
        packed_perplexity,
        growth: packed_perplexity / source.perplexity() - 1.0,
        divergence: source.divergence(packed).filter(|_| aligned),
        agreement: aligned.then(|| source.same_likeliest(packed)),
    };
    let worst = if aligned { cases(passages, source.losses(), packed.losses()) } else { Vec::new() };
    (Outcome::Tokens(outcome), worst)
}

/// The passages whose perplexity grew.
fn cases(passages: &[Passage], source: &[f64], packed: &[f64]) -> Vec<Case> {
    let mut start = 0;
    let mut cases = Vec::new();
    for passage in passages.iter().filter(|passage| passage.predicted > 0) {
        let range = start..start + passage.predicted;
        start = range.end;
        let (before, after) = (mean(&source[range.clone()]), mean(&packed[range]));
        if after > before {
            cases.push(Case {
                name: passage.name.clone(),
                input: shortened(&passage.text),
                label: None,
                source: format!("perplexity {:.2}", before.exp()),
                packed: format!("perplexity {:.2}", after.exp()),
                picture: None,
                distance: after - before,
            });
        }
    }
    cases
}
