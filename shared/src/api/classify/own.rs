//! Emberlite's form: `{"input": …}` in; labels with their probabilities out.

use serde::Deserialize;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::api::ApiError;
use crate::model::{Model, Problem};
use crate::task::classify::{self, Score};
use crate::task::text::{Outcome, Query};
use crate::tokenizer::{Overlong, Text};

/// How many labels an answer has where the request does not say.
const TOP_K: usize = 5;
/// From which probability on a label is right, of any number that may be, where the request does not say.
const THRESHOLD: f32 = 0.5;

/// A body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Request {
    pub(super) model: Option<String>,
    input: Inputs,
    /// How many labels are answered.
    top_k: Option<usize>,
    /// Whether all labels are answered.
    #[serde(default)]
    all: bool,
    /// The least probability of a predicted label.
    threshold: Option<f32>,
    /// Whether a text that is too long is cut.
    truncate: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, {\"text\", \"text_pair\"}, or a list of either")]
enum Inputs {
    Many(Vec<Input>),
    One(Input),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or {\"text\", \"text_pair\"}")]
enum Input {
    Text(String),
    Pair(Pair),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    text: String,
    text_pair: Option<String>,
}

impl Input {
    fn text(&self) -> Text {
        match self.clone() {
            Self::Text(text) | Self::Pair(Pair { text, text_pair: None }) => Text::One(text),
            Self::Pair(Pair { text, text_pair: Some(second) }) => Text::Pair(text, second),
        }
    }
}

/// One prediction, or one for each text of a list.
#[derive(Debug)]
pub(in crate::api) struct Answer {
    model: String,
    predictions: Vec<Prediction>,
    many: bool,
}

#[derive(Debug)]
enum Prediction {
    /// The right label, where one is likely enough.
    Label(Option<String>, Vec<Score>),
    /// The right labels.
    Labels(Vec<String>, Vec<Score>),
    /// The numbers of a regression.
    Values(Vec<Score>),
}

impl Request {
    pub(super) fn query(&self) -> Result<Query, ApiError> {
        let texts: Vec<_> = match &self.input {
            Inputs::One(input) => vec![input.text()],
            Inputs::Many(inputs) => inputs.iter().map(Input::text).collect(),
        };
        if texts.is_empty() {
            return Err(ApiError::empty_input("input"));
        }
        let overlong = if self.truncate.unwrap_or(true) { Overlong::CutEnd } else { Overlong::Refuse };
        Ok(Query { texts, prompt: String::new(), overlong })
    }

    pub(super) fn answer(&self, model: &Model, outcome: &Outcome) -> Answer {
        Answer {
            model: model.manifest().name.to_string(),
            predictions: outcome.rows.iter().map(|logits| self.prediction(model, logits)).collect(),
            many: matches!(self.input, Inputs::Many(_)),
        }
    }

    fn prediction(&self, model: &Model, logits: &[f32]) -> Prediction {
        let mut scores = classify::scores(model.manifest(), logits, false);
        let shown = if self.all { scores.len() } else { self.top_k.unwrap_or(TOP_K) };
        match classify::problem(model.manifest()) {
            Problem::Regression => Prediction::Values(scores),
            Problem::SingleLabel => {
                let likely = |score: &&Score| self.threshold.is_none_or(|threshold| score.score >= threshold);
                let label = scores.first().filter(likely).map(|score| score.label.clone());
                scores.truncate(shown);
                Prediction::Label(label, scores)
            }
            Problem::MultiLabel => {
                let threshold = self.threshold.unwrap_or(THRESHOLD);
                let right = scores.iter().filter(|score| score.score >= threshold);
                let labels = right.map(|score| score.label.clone()).collect();
                scores.truncate(shown);
                Prediction::Labels(labels, scores)
            }
        }
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("model", &self.model)?;
        match self.predictions.as_slice() {
            [only] if !self.many => only.write_fields(&mut map)?,
            several => map.serialize_entry("predictions", several)?,
        }
        map.end()
    }
}

impl Serialize for Prediction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write_fields(&mut map)?;
        map.end()
    }
}

impl Prediction {
    fn write_fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::Label(label, scores) => {
                map.serialize_entry("predicted_label", label)?;
                map.serialize_entry("probabilities", &ByLabel(scores))
            }
            Self::Labels(labels, scores) => {
                map.serialize_entry("predicted_labels", labels)?;
                map.serialize_entry("probabilities", &ByLabel(scores))
            }
            Self::Values(scores) => map.serialize_entry("values", &ByLabel(scores)),
        }
    }
}

/// Scores as an object, the greatest first.
struct ByLabel<'a>(&'a [Score]);

impl Serialize for ByLabel<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|score| (&score.label, score.score)))
    }
}
