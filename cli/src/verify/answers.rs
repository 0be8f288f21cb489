//! What a model says of every example, through the same code as requests.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use emberlite::model::{Model, Problem};
use emberlite::task::embed::{self, Wish};
use emberlite::task::text::{self, Query};
use emberlite::task::{self, Payload, Prediction, classify};
use emberlite::tokenizer::{Detokenizer, Overlong, Text, Tokenizer};
use serde_json::Value;

use super::language::{self, Piece, Predictions};
use crate::data::{Data, Example, Input, Kind};
use crate::progress::Progress;

/// How many examples are asked at once.
const AT_ONCE: usize = 256;
/// The most tokens that a language model is asked to predict.
const TOKENS: usize = 8192;
/// The most probabilities of tokens that are kept: 128 MiB of them.
const DISTRIBUTIONS: usize = 1 << 25;
/// From which probability on a label is right, of any number that may be.
const RIGHT: f32 = 0.5;

/// What a model says of some examples, in their order.
#[derive(Clone, Debug)]
pub enum Answers {
    /// A vector for a text, two for a pair.
    Vectors(Vec<Vec<Vec<f32>>>),
    /// Classes with their probabilities.
    Labels(Vec<Classes>),
    /// Numbers.
    Values(Vec<Vec<f64>>),
    /// The probability of each token of the texts.
    Tokens {
        /// What was read, one after the other.
        passages: Vec<Passage>,
        /// How its tokens were predicted.
        predictions: Predictions,
    },
}

/// A piece of a text that a language model read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Where it is found.
    pub name: String,
    /// Its text.
    pub text: String,
    /// How many of its tokens were predicted.
    pub predicted: usize,
}

/// The classes that a model sees in an example.
#[derive(Clone, Debug, PartialEq)]
pub struct Classes {
    /// The class, or all that are likely enough, by name.
    pub chosen: Vec<String>,
    /// Every class with its probability, in the model's order; empty where the model gives none.
    pub probabilities: Vec<(String, f32)>,
}

impl Answers {
    /// What a model says of all examples.
    ///
    /// # Errors
    /// An example that the model can't answer, by its name.
    pub fn of(model: &Model, data: &Data, progress: &Progress) -> Result<Self> {
        let kind = Kind::of(model.manifest());
        if kind == Kind::Tokens {
            return tokens(model, data, progress);
        }
        let mut predictions = Vec::new();
        let mut rows = Vec::new();
        for examples in data.examples.chunks(AT_ONCE) {
            match examples.first().map(|example| &example.input) {
                Some(Input::Payload(_)) => predictions.extend(predict(model, examples)?),
                _ => rows.extend(evaluate(model, examples)?),
            }
            examples.iter().for_each(|_| progress.advance());
        }
        let manifest = model.manifest();
        Ok(match kind {
            Kind::Vectors => Self::Vectors(rows),
            Kind::Labels if predictions.is_empty() => {
                Self::Labels(rows.iter().flatten().map(|logits| classes(model, logits)).collect())
            }
            Kind::Labels => Self::Labels(predictions.into_iter().map(predicted).collect()),
            Kind::Values if predictions.is_empty() => {
                let problem = classify::problem(manifest);
                Self::Values(rows.iter().flatten().map(|logits| numbers(problem, logits)).collect())
            }
            Kind::Values => Self::Values(predictions.iter().map(values).collect::<Result<_>>()?),
            Kind::Tokens => bail!("a language model has no such answers"),
        })
    }
}

/// The outputs of a model of texts: a row for each text.
fn evaluate(model: &Model, examples: &[Example]) -> Result<Vec<Vec<Vec<f32>>>> {
    let manifest = model.manifest();
    let spec = manifest.text.as_ref().context("the model takes no texts")?;
    let embeds = Kind::of(manifest) == Kind::Vectors;
    let prompt = if embeds { text::prompt(spec, None)? } else { String::new() };
    let texts = |input: &Input| -> Result<Vec<Text>> {
        match input.clone() {
            Input::Text(text) => Ok(vec![Text::One(text)]),
            Input::Pair(first, second) if embeds => Ok(vec![Text::One(first), Text::One(second)]),
            Input::Pair(first, second) => Ok(vec![Text::Pair(first, second)]),
            Input::Payload(_) => bail!("the model takes texts, and the data has none"),
        }
    };
    let query = |example: &Example| {
        Ok(Query { texts: texts(&example.input)?, prompt: prompt.clone(), overlong: Overlong::CutEnd })
    };
    let queries = examples.iter().map(query).collect::<Result<Vec<_>>>()?;
    let outcomes = text::evaluate(model, &queries).outcomes;
    let rows = examples.iter().zip(outcomes).map(|(example, outcome)| {
        let mut rows = outcome.with_context(|| format!("the model fails on {}", example.name))?.rows;
        if embeds {
            embed::finish(&mut rows, Wish { dimensions: None, normalize: spec.normalize })?;
        }
        Ok(rows)
    });
    rows.collect()
}

fn predict(model: &Model, examples: &[Example]) -> Result<Vec<Prediction>> {
    let payload = |example: &Example| match &example.input {
        Input::Payload(payload) => Ok(payload.clone()),
        Input::Text(_) | Input::Pair(..) => bail!("the model takes tensors, and the data has texts"),
    };
    let payloads: Vec<Payload> = examples.iter().map(payload).collect::<Result<_>>()?;
    let answers = task::predict_all(model, &payloads);
    let only = |(example, answer): (&Example, Result<task::Answer, task::PredictError>)| {
        let answer = answer.with_context(|| format!("the model fails on {}", example.name))?;
        let rows = answer.predictions.len();
        let one = answer.predictions.into_iter().next().filter(|_| rows == 1);
        one.with_context(|| format!("{} has {rows} rows: expected one", example.name))
    };
    examples.iter().zip(answers).map(only).collect()
}

fn predicted(prediction: Prediction) -> Classes {
    Classes { chosen: prediction.label.into_iter().collect(), probabilities: prediction.probabilities }
}

fn classes(model: &Model, logits: &[f32]) -> Classes {
    let manifest = model.manifest();
    let scores = classify::scores(manifest, logits, false);
    let many = classify::problem(manifest) == Problem::MultiLabel;
    let right =
        scores.iter().enumerate().filter(|(place, score)| if many { score.score >= RIGHT } else { *place == 0 });
    let mut chosen: Vec<_> = right.map(|(_, score)| score.label.clone()).collect();
    chosen.sort();
    let mut probabilities: Vec<_> = scores.into_iter().map(|score| (score.label, score.score)).collect();
    probabilities.sort_by(|a, b| a.0.cmp(&b.0));
    Classes { chosen, probabilities }
}

/// The numbers of a regression, or how relevant a text is.
fn numbers(problem: Problem, logits: &[f32]) -> Vec<f64> {
    let logistic = |logit: f64| 1.0 / (1.0 + (-logit).exp());
    let number = |logit: &f32| match problem {
        Problem::Regression => f64::from(*logit),
        Problem::SingleLabel | Problem::MultiLabel => logistic(f64::from(*logit)),
    };
    logits.iter().map(number).collect()
}

/// Every number of a prediction's outputs.
fn values(prediction: &Prediction) -> Result<Vec<f64>> {
    let mut numbers = Vec::new();
    for (_, output) in &prediction.outputs {
        collect(&serde_json::to_value(output)?, &mut numbers);
    }
    Ok(numbers)
}

fn collect(value: &Value, numbers: &mut Vec<f64>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| collect(value, numbers)),
        Value::Bool(flag) => numbers.push(f64::from(u8::from(*flag))),
        Value::Null => numbers.push(f64::NAN),
        other => numbers.extend(other.as_f64()),
    }
}

fn tokens(model: &Model, data: &Data, progress: &Progress) -> Result<Answers> {
    let pieces = pieces_of(model, data)?;
    let begin = model.manifest().generate.as_ref().and_then(|spec| spec.begin_token);
    let tokenizer = model.tokenizer().context("the model has no tokenizer")?;
    let decoder = model.decoder().context("the package holds no language model")?;
    let passages = passages(data, &pieces, begin, tokenizer);
    progress.count("predicting tokens", pieces.len());
    let predictions = Predictions::of(decoder, &pieces, DISTRIBUTIONS, || progress.advance())?;
    Ok(Answers::Tokens { passages, predictions })
}

/// The tokens that a language model is asked to predict.
pub(super) fn pieces_of(model: &Model, data: &Data) -> Result<Vec<Piece>> {
    let spec = model.manifest().generate.as_ref().context("the model generates no texts")?;
    let tokenizer = model.tokenizer().context("the model has no tokenizer")?;
    let text = |example: &Example| match &example.input {
        Input::Text(text) => Ok(text.clone()),
        Input::Pair(..) | Input::Payload(_) => bail!("{}: a language model reads texts", example.name),
    };
    let texts: Vec<String> = data.examples.iter().map(text).collect::<Result<_>>()?;
    let pieces = language::pieces(&texts, tokenizer, spec, TOKENS)?;
    let predicted = pieces.iter().any(|piece| piece.predicted() > 0);
    ensure!(predicted, "{} has too few tokens to predict one of them", data.name);
    Ok(pieces)
}

/// Where pieces are found. Tokens that can't be turned into text leave their passage without one.
fn passages(data: &Data, pieces: &[Piece], begin: Option<u32>, tokenizer: &Tokenizer) -> Vec<Passage> {
    let table = tokenizer.token_bytes().ok().map(Arc::new);
    let text = |piece: &Piece| {
        let mut text = String::new();
        if let Some(table) = &table {
            let mut detokenizer = Detokenizer::continuing(Arc::clone(table));
            let ids = piece.ids.iter().skip_while(|id| Some(**id) == begin);
            ids.for_each(|id| text.push_str(&detokenizer.push(*id)));
            text.push_str(&detokenizer.finish());
        }
        text
    };
    let mut passages = Vec::with_capacity(pieces.len());
    for of_text in pieces.chunk_by(|a, b| a.text == b.text) {
        let mut line = 1;
        for piece in of_text {
            let name = data.examples.get(piece.text).map_or_else(String::new, |example| example.name.clone());
            let name = if of_text.len() == 1 { name } else { format!("{name} from line {line}") };
            let text = text(piece);
            line += text.matches('\n').count();
            passages.push(Passage { name, text, predicted: piece.predicted() });
        }
    }
    passages
}
