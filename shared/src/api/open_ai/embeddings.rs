//! `POST /v1/embeddings`: texts in, vectors out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::api::ApiError;
use crate::api::dialect::{Dialect, Refusal};
use crate::api::embed::{Inputs, prompt};
use crate::api::text::{Endpoint, read_as};
use crate::model::{Model, Task};
use crate::task::embed::{self, Wish};
use crate::task::text::{Outcome, Query};
use crate::tokenizer::Overlong;

/// A body. `truncate`, `normalize` and `prompt_name` are this server's own; `user` has no effect.
#[derive(Debug, Deserialize)]
pub(in crate::api) struct Request {
    model: Option<String>,
    input: Inputs,
    #[serde(default)]
    encoding_format: EncodingFormat,
    dimensions: Option<usize>,
    #[serde(default)]
    truncate: bool,
    normalize: Option<bool>,
    prompt_name: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EncodingFormat {
    #[default]
    Float,
    Base64,
}

#[derive(Debug, Serialize)]
pub(in crate::api) struct Answer {
    object: &'static str,
    data: Vec<Embedding>,
    model: String,
    usage: Usage,
}

#[derive(Debug, Serialize)]
struct Embedding {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Vector {
    Float(Vec<f32>),
    Base64(String),
}

#[derive(Debug, Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

impl Endpoint for Request {
    type Answer = Answer;

    const TASKS: &'static [Task] = &[Task::Embed];
    const DIALECT: Dialect = Dialect::OpenAi;

    fn read(body: &[u8]) -> Result<Self, Refusal> {
        read_as(body, Self::DIALECT)
    }

    fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    fn query(&self, model: &Model) -> Result<Query, ApiError> {
        Ok(Query {
            texts: self.input.texts("input")?,
            prompt: prompt(model, self.prompt_name.as_deref())?,
            overlong: if self.truncate { Overlong::CutEnd } else { Overlong::Refuse },
        })
    }

    fn answer(self, model: &Model, outcome: Outcome) -> Result<Answer, ApiError> {
        let mut vectors = outcome.rows;
        let wish = Wish { dimensions: self.dimensions, normalize: self.normalize.unwrap_or(true) };
        embed::finish(&mut vectors, wish)?;
        let embedding = |(index, vector): (usize, Vec<f32>)| Embedding {
            object: "embedding",
            index,
            embedding: match self.encoding_format {
                EncodingFormat::Float => Vector::Float(vector),
                EncodingFormat::Base64 => Vector::Base64(base64_of(&vector)),
            },
        };
        Ok(Answer {
            object: "list",
            data: vectors.into_iter().enumerate().map(embedding).collect(),
            model: model.manifest().name.to_string(),
            usage: Usage { prompt_tokens: outcome.tokens, total_tokens: outcome.tokens },
        })
    }
}

/// A vector's little-endian bytes in base64.
fn base64_of(vector: &[f32]) -> String {
    STANDARD.encode(vector.iter().flat_map(|component| component.to_le_bytes()).collect::<Vec<_>>())
}
