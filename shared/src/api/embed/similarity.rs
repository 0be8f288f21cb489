//! `POST /similarity`, as text-embeddings-inference has it: how alike a sentence is to each of several others.

use serde::Deserialize;

use super::{TruncationDirection, overlong, prompt};
use crate::api::ApiError;
use crate::api::dialect::{Dialect, Refusal};
use crate::api::text::{Endpoint, read_as};
use crate::model::{Model, Task};
use crate::task::embed;
use crate::task::text::{Outcome, Query};
use crate::tokenizer::Text;

/// A body.
#[derive(Debug, Deserialize)]
pub(in crate::api) struct Request {
    model: Option<String>,
    inputs: Inputs,
    parameters: Option<Parameters>,
}

#[derive(Debug, Deserialize)]
struct Inputs {
    source_sentence: String,
    sentences: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    truncate: Option<bool>,
    #[serde(default)]
    truncation_direction: TruncationDirection,
    prompt_name: Option<String>,
}

impl Endpoint for Request {
    type Answer = Vec<f32>;

    const TASKS: &'static [Task] = &[Task::Embed];
    const DIALECT: Dialect = Dialect::TextEmbeddings;

    fn read(body: &[u8]) -> Result<Self, Refusal> {
        read_as(body, Self::DIALECT)
    }

    fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    fn query(&self, model: &Model) -> Result<Query, ApiError> {
        let (source, sentences) = (&self.inputs.source_sentence, &self.inputs.sentences);
        if source.is_empty() || sentences.is_empty() || sentences.iter().any(String::is_empty) {
            return Err(ApiError::empty_input("inputs"));
        }
        let default = Parameters::default();
        let parameters = self.parameters.as_ref().unwrap_or(&default);
        Ok(Query {
            texts: std::iter::once(source).chain(sentences).cloned().map(Text::One).collect(),
            prompt: prompt(model, parameters.prompt_name.as_deref())?,
            overlong: overlong(parameters.truncate, parameters.truncation_direction),
        })
    }

    fn answer(self, _: &Model, outcome: Outcome) -> Result<Self::Answer, ApiError> {
        Ok(embed::similarities(&outcome.rows))
    }
}
