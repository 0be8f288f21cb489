//! `POST /embed`, as text-embeddings-inference has it: texts in, a list of vectors out.

pub(super) mod similarity;

use serde::Deserialize;

use super::ApiError;
use super::dialect::{Dialect, Refusal};
use super::text::{Endpoint, read_as};
use crate::model::{Model, Task};
use crate::task::embed::{self, Wish};
use crate::task::text::{self, Outcome, Query};
use crate::tokenizer::{Overlong, Text};

/// One input or several; each a text or token ids.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, a list of texts, token ids, or a list of lists of token ids")]
pub(super) enum Inputs {
    One(String),
    Many(Vec<Input>),
    Ids(Vec<u32>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or token ids")]
pub(super) enum Input {
    Text(String),
    Ids(Vec<u32>),
}

impl Inputs {
    /// The texts, none of them empty. `name` is what the dialect calls the field.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<Text>, ApiError> {
        let texts: Vec<_> = match self {
            Self::One(text) => vec![Text::One(text.clone())],
            Self::Ids(ids) => vec![Text::Ids(ids.clone())],
            Self::Many(inputs) => inputs
                .iter()
                .map(|input| match input {
                    Input::Text(text) => Text::One(text.clone()),
                    Input::Ids(ids) => Text::Ids(ids.clone()),
                })
                .collect(),
        };
        let is_empty = |text: &Text| match text {
            Text::One(text) => text.is_empty(),
            Text::Ids(ids) => ids.is_empty(),
            Text::Pair(..) => false,
        };
        if texts.is_empty() || texts.iter().any(is_empty) {
            return Err(ApiError::empty_input(name));
        }
        Ok(texts)
    }
}

/// Which end of a text is cut off.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) enum TruncationDirection {
    #[serde(alias = "left")]
    Left,
    #[default]
    #[serde(alias = "right")]
    Right,
}

/// What that service does with a text that is too long: by default it refuses.
pub(super) fn overlong(truncate: Option<bool>, direction: TruncationDirection) -> Overlong {
    match (truncate.unwrap_or(false), direction) {
        (false, _) => Overlong::Refuse,
        (true, TruncationDirection::Left) => Overlong::CutStart,
        (true, TruncationDirection::Right) => Overlong::CutEnd,
    }
}

/// The prompt that a request names, or the model's default.
pub(super) fn prompt(model: &Model, name: Option<&str>) -> Result<String, ApiError> {
    let spec = model.manifest().text.as_ref().ok_or(text::TextError::NoTexts)?;
    Ok(text::prompt(spec, name)?)
}

/// A body.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    model: Option<String>,
    inputs: Inputs,
    truncate: Option<bool>,
    #[serde(default)]
    truncation_direction: TruncationDirection,
    prompt_name: Option<String>,
    #[serde(default = "yes")]
    normalize: bool,
    dimensions: Option<usize>,
}

fn yes() -> bool {
    true
}

impl Endpoint for Request {
    type Answer = Vec<Vec<f32>>;

    const TASKS: &'static [Task] = &[Task::Embed];
    const DIALECT: Dialect = Dialect::TextEmbeddings;

    fn read(body: &[u8]) -> Result<Self, Refusal> {
        read_as(body, Self::DIALECT)
    }

    fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    fn query(&self, model: &Model) -> Result<Query, ApiError> {
        Ok(Query {
            texts: self.inputs.texts("inputs")?,
            prompt: prompt(model, self.prompt_name.as_deref())?,
            overlong: overlong(self.truncate, self.truncation_direction),
        })
    }

    fn answer(self, _: &Model, outcome: Outcome) -> Result<Self::Answer, ApiError> {
        let mut vectors = outcome.rows;
        embed::finish(&mut vectors, Wish { dimensions: self.dimensions, normalize: self.normalize })?;
        Ok(vectors)
    }
}
