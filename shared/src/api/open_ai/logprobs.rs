//! Log probabilities in OpenAI's two forms.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::task::generate::{Generator, TokenLogprob};

/// Those of a chat.
#[derive(Debug, Serialize)]
pub(super) struct ChatLogprobs {
    content: Vec<ChatToken>,
    refusal: Option<Vec<ChatToken>>,
}

#[derive(Debug, Serialize)]
struct ChatToken {
    #[serde(flatten)]
    token: Alternative,
    top_logprobs: Vec<Alternative>,
}

#[derive(Debug, Serialize)]
struct Alternative {
    token: String,
    logprob: f32,
    /// Null for a special token, which is no part of the text.
    bytes: Option<Vec<u8>>,
}

/// Those of a completion.
#[derive(Debug, Serialize)]
pub(super) struct CompletionLogprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<f32>,
    top_logprobs: Vec<Map<String, Value>>,
    text_offset: Vec<usize>,
}

/// JSON has no infinity: what can't come is this improbable, as OpenAI says it.
const LEAST: f32 = -9999.0;

/// A token's text, or the name of a special one, and what it adds to a text.
fn spelled(generator: &Generator, id: u32) -> (String, Option<Vec<u8>>) {
    let table = generator.token_bytes();
    match table.special(id) {
        Some(name) => (name.to_owned(), None),
        None => (String::from_utf8_lossy(table.of(id)).into_owned(), Some(table.of(id).to_vec())),
    }
}

pub(super) fn of_chat(generator: &Generator, tokens: Vec<TokenLogprob>) -> ChatLogprobs {
    let alternative = |id: u32, logprob: f32| {
        let (token, bytes) = spelled(generator, id);
        Alternative { token, logprob: logprob.max(LEAST), bytes }
    };
    let token = |token: TokenLogprob| ChatToken {
        token: alternative(token.id, token.logprob),
        top_logprobs: token.top.into_iter().map(|(id, logprob)| alternative(id, logprob)).collect(),
    };
    ChatLogprobs { content: tokens.into_iter().map(token).collect(), refusal: None }
}

pub(super) fn of_completion(generator: &Generator, tokens: Vec<TokenLogprob>) -> CompletionLogprobs {
    let top = |token: &TokenLogprob| {
        let chosen = (token.id, token.logprob);
        let others = token.top.iter().copied().chain((!token.top.is_empty()).then_some(chosen));
        others.map(|(id, logprob)| (spelled(generator, id).0, Value::from(logprob.max(LEAST)))).collect()
    };
    CompletionLogprobs {
        top_logprobs: tokens.iter().map(top).collect(),
        token_logprobs: tokens.iter().map(|token| token.logprob.max(LEAST)).collect(),
        text_offset: tokens.iter().map(|token| token.offset).collect(),
        tokens: tokens.iter().map(|token| spelled(generator, token.id).0).collect(),
    }
}
