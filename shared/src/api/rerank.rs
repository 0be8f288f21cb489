//! `POST /rerank`, as text-embeddings-inference has it: a query and texts in, the texts by relevance out.

use serde::{Deserialize, Serialize};

use super::ApiError;
use super::dialect::{Dialect, Refusal};
use super::embed::{TruncationDirection, overlong};
use super::text::{Endpoint, read_as};
use crate::model::{Model, Task};
use crate::task::text::{Outcome, Query};
use crate::task::{classify, rerank};
use crate::tokenizer::Text;

/// A body.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    model: Option<String>,
    query: String,
    texts: Vec<String>,
    truncate: Option<bool>,
    #[serde(default)]
    truncation_direction: TruncationDirection,
    #[serde(default)]
    raw_scores: bool,
    #[serde(default)]
    return_text: bool,
}

/// A text's place.
#[derive(Debug, Serialize)]
pub(super) struct Rank {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    score: f32,
}

impl Endpoint for Request {
    type Answer = Vec<Rank>;

    const TASKS: &'static [Task] = &[Task::Rerank];
    const DIALECT: Dialect = Dialect::TextEmbeddings;

    fn read(body: &[u8]) -> Result<Self, Refusal> {
        read_as(body, Self::DIALECT)
    }

    fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    fn query(&self, _: &Model) -> Result<Query, ApiError> {
        if self.texts.is_empty() {
            return Err(ApiError::empty_input("texts"));
        }
        Ok(Query {
            texts: self.texts.iter().map(|text| Text::Pair(self.query.clone(), text.clone())).collect(),
            prompt: String::new(),
            overlong: overlong(self.truncate, self.truncation_direction),
        })
    }

    fn answer(mut self, model: &Model, outcome: Outcome) -> Result<Self::Answer, ApiError> {
        let ranks = rerank::rank(classify::problem(model.manifest()), &outcome.rows, self.raw_scores);
        let rank = |rank: rerank::Rank| Rank {
            index: rank.index,
            text: self.return_text.then(|| self.texts.get_mut(rank.index).map(std::mem::take)).flatten(),
            score: rank.score,
        };
        Ok(ranks.into_iter().map(rank).collect())
    }
}
