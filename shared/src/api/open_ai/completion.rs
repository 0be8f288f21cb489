//! `POST /v1/completions`: a text in, what follows it out.

use serde::Serialize;
use serde_json::Value;

use super::chat::reason;
use super::fields::Fields;
use super::generation::{Ask, Form, Written};
use super::logprobs::{self, CompletionLogprobs};
use super::wishes::{Wishes, text_at};
use crate::api::ApiError;
use crate::task::generate::{FinishReason, GenerateError, Generator, TokenLogprob};
use crate::tokenizer::Detokenizer;

/// How many prompts a request may have.
const MOST_PROMPTS: usize = 128;

/// What a completion's body says beside [`Wishes`].
#[derive(Debug)]
pub(super) struct Completion {
    prompts: Vec<Prompt>,
    echo: bool,
    logprobs: Option<usize>,
}

#[derive(Debug)]
enum Prompt {
    Text(String),
    Tokens(Vec<u32>),
}

impl Ask for Completion {
    type Form = CompletionForm;

    const LEAST_TOKENS: i64 = 0;
    const DEFAULT_TOKENS: Option<usize> = Some(16);
    const PROMPT: &'static str = "prompt";
    const CONTINUES: bool = true;

    fn take(fields: &mut Fields, wishes: &Wishes) -> Result<Self, ApiError> {
        if fields.text("suffix")?.is_some_and(|suffix| !suffix.is_empty()) {
            return Err(fields.unsupported("suffix"));
        }
        let prompts = prompts(fields)?;
        let echo = fields.flag("echo")?.unwrap_or(false);
        let logprobs = fields.whole("logprobs", 0..=20)?.map(|logprobs| logprobs as usize);
        if echo && logprobs.is_some() {
            let message = "Unsupported parameter: 'echo' is not supported by this server together with 'logprobs'.";
            return Err(ApiError::parameter("unsupported_parameter", "echo", message));
        }
        match fields.whole("best_of", 1..=i64::MAX)? {
            Some(best) if best as usize != wishes.choices => {
                Err(fields.wrong_value("best_of", "the value of 'n'", &best.to_string()))
            }
            _ => Ok(Self { prompts, echo, logprobs }),
        }
    }

    fn prompts(&self, generator: &Generator) -> Result<Vec<Vec<u32>>, GenerateError> {
        let read = |prompt: &Prompt| match prompt {
            Prompt::Text(text) => generator.read_text(text),
            Prompt::Tokens(ids) => generator.read_tokens(ids),
        };
        self.prompts.iter().map(read).collect()
    }

    fn logprobs(&self) -> Option<usize> {
        self.logprobs
    }

    fn form(&self, generator: &Generator, prompts: &[Vec<u32>], choices: usize) -> CompletionForm {
        let text = |(prompt, tokens): (&Prompt, &Vec<u32>)| match prompt {
            Prompt::Text(text) => text.clone(),
            Prompt::Tokens(_) => {
                let mut text = Detokenizer::new(generator.token_bytes().clone());
                let whole: String = tokens.iter().map(|id| text.push(*id)).collect();
                whole + &text.finish()
            }
        };
        let prefixes = if self.echo { self.prompts.iter().zip(prompts).map(text).collect() } else { Vec::new() };
        CompletionForm { prefixes, choices, logprobs: self.logprobs.is_some() }
    }
}

/// A text, texts, tokens, or lists of tokens.
fn prompts(fields: &mut Fields) -> Result<Vec<Prompt>, ApiError> {
    let expected = "a string, an array of strings, an array of token ids, or an array of such arrays";
    let prompts = match fields.value("prompt") {
        Some(Value::String(text)) => vec![Prompt::Text(text)],
        Some(Value::Array(list)) if list.first().is_some_and(Value::is_number) => vec![tokens(&list, "prompt")?],
        Some(Value::Array(list)) => list
            .iter()
            .enumerate()
            .map(|(index, prompt)| match prompt {
                Value::Array(list) => tokens(list, &format!("prompt[{index}]")),
                other => Ok(Prompt::Text(text_at("prompt", index, other)?.to_owned())),
            })
            .collect::<Result<_, _>>()?,
        Some(other) => return Err(fields.wrong_type("prompt", expected, &other)),
        None => {
            let message = "Missing required parameter: 'prompt'.";
            return Err(ApiError::parameter("missing_required_parameter", "prompt", message));
        }
    };
    match prompts.len() {
        1..=MOST_PROMPTS => Ok(prompts),
        other => Err(fields.wrong_value("prompt", &format!("1 to {MOST_PROMPTS} prompts"), &other.to_string())),
    }
}

fn tokens(list: &[Value], place: &str) -> Result<Prompt, ApiError> {
    let wrong = |value: &Value| {
        let message = format!("Invalid value for '{place}': expected token ids, but got {value} instead.");
        ApiError::parameter("invalid_value", "prompt", message)
    };
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| wrong(value));
    let ids: Vec<u32> = list.iter().map(id).collect::<Result<_, _>>()?;
    if ids.is_empty() {
        return Err(ApiError::parameter("empty_array", "prompt", format!("Invalid '{place}': it has no token.")));
    }
    Ok(Prompt::Tokens(ids))
}

/// What follows a text.
#[derive(Debug)]
pub(super) struct CompletionForm {
    /// What stands before the texts of each prompt, where it is to be told.
    prefixes: Vec<String>,
    /// How many texts each prompt has.
    choices: usize,
    logprobs: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct CompletionChoice {
    text: String,
    index: usize,
    logprobs: Option<CompletionLogprobs>,
    finish_reason: Option<&'static str>,
}

impl CompletionForm {
    fn prefix(&self, index: usize) -> Option<&str> {
        self.prefixes.get(index / self.choices).map(String::as_str)
    }
}

impl Form for CompletionForm {
    type Choice = CompletionChoice;
    type Delta = CompletionChoice;

    const OBJECT: &'static str = "text_completion";
    const CHUNK_OBJECT: &'static str = "text_completion";
    const ID: &'static str = "cmpl";

    fn whole(&self, generator: &Generator, index: usize, written: Written) -> CompletionChoice {
        CompletionChoice {
            text: format!("{}{}", self.prefix(index).unwrap_or_default(), written.text),
            index,
            logprobs: self.logprobs.then(|| logprobs::of_completion(generator, written.tokens)),
            finish_reason: Some(reason(written.reason)),
        }
    }

    fn begin(&self, index: usize) -> Option<CompletionChoice> {
        let text = self.prefix(index)?.to_owned();
        Some(CompletionChoice { text, index, logprobs: None, finish_reason: None })
    }

    fn piece(&self, generator: &Generator, index: usize, text: String, tokens: Vec<TokenLogprob>) -> CompletionChoice {
        let logprobs = self.logprobs.then(|| logprobs::of_completion(generator, tokens));
        CompletionChoice { text, index, logprobs, finish_reason: None }
    }

    fn end(&self, index: usize, finish: FinishReason) -> CompletionChoice {
        CompletionChoice { text: String::new(), index, logprobs: None, finish_reason: Some(reason(finish)) }
    }
}
