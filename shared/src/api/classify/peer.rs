//! The form of text-embeddings-inference: `{"inputs": …}` in; lists of labels with their scores out.

use serde::{Deserialize, Serialize};

use crate::api::ApiError;
use crate::api::embed::{TruncationDirection, overlong};
use crate::model::Model;
use crate::task::classify;
use crate::task::text::{Outcome, Query};
use crate::tokenizer::Text;

/// A body.
#[derive(Debug, Deserialize)]
pub(in crate::api) struct Request {
    pub(super) model: Option<String>,
    inputs: Inputs,
    truncate: Option<bool>,
    #[serde(default)]
    truncation_direction: TruncationDirection,
    #[serde(default)]
    raw_scores: bool,
}

/// A list of texts is one text, or the two of a pair; a list of lists is a batch of such.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, a pair of texts, or a list of lists of one or two texts")]
enum Inputs {
    One(String),
    Batch(Vec<Vec<String>>),
    Pair(Vec<String>),
}

/// The answer for one text, or for each of a batch.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(in crate::api) enum Answer {
    One(Vec<Prediction>),
    Batch(Vec<Vec<Prediction>>),
}

/// A label with its score.
#[derive(Debug, Serialize)]
pub(in crate::api) struct Prediction {
    score: f32,
    label: String,
}

impl Request {
    pub(super) fn query(&self) -> Result<Query, ApiError> {
        let texts = match &self.inputs {
            Inputs::One(text) => vec![Text::One(text.clone())],
            Inputs::Pair(texts) => vec![text(texts)?],
            Inputs::Batch(batch) => batch.iter().map(|texts| text(texts)).collect::<Result<_, _>>()?,
        };
        if texts.is_empty() {
            return Err(ApiError::empty_input("inputs"));
        }
        let overlong = overlong(self.truncate, self.truncation_direction);
        Ok(Query { texts, prompt: String::new(), overlong })
    }

    pub(super) fn answer(&self, model: &Model, outcome: &Outcome) -> Answer {
        let predictions = |logits: &Vec<f32>| -> Vec<_> {
            let scores = classify::scores(model.manifest(), logits, self.raw_scores);
            scores.into_iter().map(|score| Prediction { score: score.score, label: score.label }).collect()
        };
        let mut batch: Vec<_> = outcome.rows.iter().map(predictions).collect();
        match (&self.inputs, batch.pop()) {
            (Inputs::One(_) | Inputs::Pair(_), Some(only)) => Answer::One(only),
            (_, last) => {
                batch.extend(last);
                Answer::Batch(batch)
            }
        }
    }
}

fn text(texts: &[String]) -> Result<Text, ApiError> {
    match texts {
        [text] => Ok(Text::One(text.clone())),
        [first, second] => Ok(Text::Pair(first.clone(), second.clone())),
        _ => Err(ApiError::bad_request(format!("expected one text or a pair of texts, got {}", texts.len()))),
    }
}
