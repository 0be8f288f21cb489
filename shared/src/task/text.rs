//! Texts through a model: tokens, batches without padding, and the rows of the model's first output.

mod batch;

use std::time::{Duration, Instant};

use crate::engine::EngineError;
use crate::model::{Model, TextSpec};
use crate::tokenizer::{EncodeError, Limit, Overlong, Text, Tokenizer, Tokens};

/// The texts of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Each becomes a row.
    pub texts: Vec<Text>,
    /// Put before each of them.
    pub prompt: String,
    /// What happens to one that is too long for the model.
    pub overlong: Overlong,
}

/// What a model makes of the texts of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The first output's row for each text.
    pub rows: Vec<Vec<f32>>,
    /// How many tokens they were, special ones included.
    pub tokens: usize,
}

/// The outcomes of several requests, in their order.
#[derive(Debug)]
pub struct Outcomes {
    /// One per request.
    pub outcomes: Vec<Result<Outcome, TextError>>,
    /// How long texts became tokens.
    pub tokenize: Duration,
    /// How long the model ran.
    pub run: Duration,
}

/// Why a model makes nothing of a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum TextError {
    #[error("this model takes no texts")]
    NoTexts,
    #[error("there is no prompt {name:?}: expected {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
    UnknownPrompt { name: String, known: Vec<String> },
    #[error("text {index}: {source}")]
    Encode { index: usize, source: EncodeError },
    #[error("{expected} dimensions can't be had: the model's vectors have {got}")]
    Dimensions { expected: usize, got: usize },
    #[error("running the model failed: {0}")]
    Run(String),
}

impl From<EngineError> for TextError {
    fn from(error: EngineError) -> Self {
        Self::Run(error.to_string())
    }
}

/// The prompt of this name, or the one that is used where none is named.
///
/// # Errors
/// [`TextError::UnknownPrompt`].
pub fn prompt(spec: &TextSpec, name: Option<&str>) -> Result<String, TextError> {
    let Some(name) = name.or(spec.default_prompt.as_deref()) else { return Ok(String::new()) };
    spec.prompts.get(name).cloned().ok_or_else(|| TextError::UnknownPrompt {
        name: name.to_owned(),
        known: spec.prompts.keys().cloned().collect(),
    })
}

/// Runs the texts of several requests together. Texts of equal token counts share a batch, so that nothing is padded;
/// batches run side by side, a batch that is alone on all threads.
pub fn evaluate(model: &Model, queries: &[Query]) -> Outcomes {
    let start = Instant::now();
    let encoded = match (model.tokenizer(), &model.manifest().text) {
        (Some(tokenizer), Some(spec)) => encode(tokenizer, spec, queries),
        _ => queries.iter().map(|_| Err(TextError::NoTexts)).collect(),
    };
    let tokenize = start.elapsed();
    let start = Instant::now();
    let outcomes = run_all(model, encoded);
    Outcomes { outcomes, tokenize, run: start.elapsed() }
}

type Encoded = Result<Vec<Tokens>, TextError>;

fn encode(tokenizer: &Tokenizer, spec: &TextSpec, queries: &[Query]) -> Vec<Encoded> {
    let texts: Vec<_> =
        queries.iter().flat_map(|query| query.texts.iter().enumerate().map(move |text| (query, text))).collect();
    let rows = batch::each(&texts, |(query, (index, text))| {
        let limit = Limit { max_tokens: spec.max_tokens, overlong: query.overlong };
        let tokens = tokenizer.encode(text, &query.prompt, limit);
        tokens.map_err(|source| TextError::Encode { index: *index, source })
    });
    let mut rows = rows.into_iter();
    queries
        .iter()
        .map(|query| rows.by_ref().take(query.texts.len()).collect::<Vec<_>>().into_iter().collect())
        .collect()
}

/// Runs everything together; where that fails, each request by itself, so that one can't fail another.
fn run_all(model: &Model, encoded: Vec<Encoded>) -> Vec<Result<Outcome, TextError>> {
    let rows: Vec<&Tokens> = encoded.iter().flatten().flatten().collect();
    let failed = match batch::run(model, &rows) {
        Ok(outputs) => {
            let mut outputs = outputs.into_iter();
            return encoded
                .into_iter()
                .map(|rows| rows.map(|rows| outcome(&rows, outputs.by_ref().take(rows.len()).collect())))
                .collect();
        }
        Err(error) => error,
    };
    let alone = encoded.iter().filter(|rows| rows.is_ok()).count() == 1;
    let run = |rows: Vec<Tokens>| {
        if alone {
            return Err(failed.clone());
        }
        let outputs = batch::run(model, &rows.iter().collect::<Vec<_>>())?;
        Ok(outcome(&rows, outputs))
    };
    encoded.into_iter().map(|rows| rows.and_then(run)).collect()
}

fn outcome(rows: &[Tokens], outputs: Vec<Vec<f32>>) -> Outcome {
    Outcome { rows: outputs, tokens: rows.iter().map(|row| row.ids.len()).sum() }
}
