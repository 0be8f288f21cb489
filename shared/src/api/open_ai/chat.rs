//! `POST /v1/chat/completions`: a chat in, what the assistant says out.

use serde::Serialize;
use serde_json::{Map, Value};

use super::fields::Fields;
use super::generation::{Ask, Form, Written};
use super::logprobs::{self, ChatLogprobs};
use super::messages;
use super::wishes::Wishes;
use crate::api::ApiError;
use crate::task::generate::{FinishReason, GenerateError, Generator, TokenLogprob};

/// Fields of OpenAI's that nothing is done for.
const UNSUPPORTED: [&str; 6] =
    ["audio", "functions", "function_call", "prediction", "web_search_options", "moderation"];

/// What a chat's body says beside [`Wishes`]. `chat_template_kwargs` and `add_generation_prompt` are this server's own, as
/// others have them.
#[derive(Debug)]
pub(super) struct Chat {
    /// What the template sees.
    variables: Map<String, Value>,
    logprobs: Option<usize>,
}

impl Ask for Chat {
    type Form = ChatForm;

    const LEAST_TOKENS: i64 = 1;
    const DEFAULT_TOKENS: Option<usize> = None;
    const PROMPT: &'static str = "messages";
    const CONTINUES: bool = false;

    fn take(fields: &mut Fields, _: &Wishes) -> Result<Self, ApiError> {
        fields.refuse(&UNSUPPORTED)?;
        text_only(fields)?;
        let Some(messages) = fields.list("messages")? else {
            let message = "Missing required parameter: 'messages'.";
            return Err(ApiError::parameter("missing_required_parameter", "messages", message));
        };
        let messages = messages::read(messages)?;
        let tools = fields.list("tools")?.unwrap_or_default();
        messages::check_tools(&tools)?;
        let tools = if may_call(fields)? { tools } else { Vec::new() };
        let mut own = match fields.value("chat_template_kwargs") {
            None => Map::new(),
            Some(Value::Object(own)) => own,
            Some(other) => return Err(fields.wrong_type("chat_template_kwargs", "an object", &other)),
        };
        if let Some(effort) = fields.text("reasoning_effort")? {
            own.insert("reasoning_effort".to_owned(), Value::from(effort));
        }
        if let Some(add) = fields.flag("add_generation_prompt")? {
            own.insert("add_generation_prompt".to_owned(), Value::from(add));
        }
        Ok(Self { logprobs: wanted_logprobs(fields)?, variables: messages::variables(messages, tools, own) })
    }

    fn prompts(&self, generator: &Generator) -> Result<Vec<Vec<u32>>, GenerateError> {
        Ok(vec![generator.read_chat(self.variables.clone())?])
    }

    fn logprobs(&self) -> Option<usize> {
        self.logprobs
    }

    fn form(&self, _: &Generator, _: &[Vec<u32>], _: usize) -> ChatForm {
        ChatForm { logprobs: self.logprobs.is_some() }
    }
}

fn text_only(fields: &mut Fields) -> Result<(), ApiError> {
    let modalities = fields.list("modalities")?.unwrap_or_default();
    match modalities.iter().find(|modality| *modality != "text") {
        None => Ok(()),
        Some(other) => Err(fields.wrong_value("modalities", "['text']", &other.to_string())),
    }
}

/// Whether the template is to tell of tools. A model can't be made to call one.
fn may_call(fields: &mut Fields) -> Result<bool, ApiError> {
    match fields.value("tool_choice") {
        None => Ok(true),
        Some(Value::String(choice)) if choice == "auto" => Ok(true),
        Some(Value::String(choice)) if choice == "none" => Ok(false),
        Some(other) => Err(fields.wrong_value("tool_choice", "'auto' or 'none'", &other.to_string())),
    }
}

fn wanted_logprobs(fields: &mut Fields) -> Result<Option<usize>, ApiError> {
    let wanted = fields.flag("logprobs")?.unwrap_or(false);
    let top = fields.whole("top_logprobs", 0..=20)?;
    if top.is_some() && !wanted {
        let message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.";
        return Err(ApiError::parameter("invalid_value", "top_logprobs", message));
    }
    Ok(wanted.then_some(top.unwrap_or(0) as usize))
}

/// What the assistant says.
#[derive(Debug)]
pub(super) struct ChatForm {
    logprobs: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct ChatChoice {
    index: usize,
    message: Message,
    logprobs: Option<ChatLogprobs>,
    finish_reason: &'static str,
}

#[derive(Debug, Serialize)]
struct Message {
    role: &'static str,
    content: String,
    refusal: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct ChatDelta {
    index: usize,
    delta: Delta,
    logprobs: Option<ChatLogprobs>,
    finish_reason: Option<&'static str>,
}

#[derive(Debug, Default, Serialize)]
struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

impl Form for ChatForm {
    type Choice = ChatChoice;
    type Delta = ChatDelta;

    const OBJECT: &'static str = "chat.completion";
    const CHUNK_OBJECT: &'static str = "chat.completion.chunk";
    const ID: &'static str = "chatcmpl";

    fn whole(&self, generator: &Generator, index: usize, written: Written) -> ChatChoice {
        ChatChoice {
            index,
            message: Message { role: "assistant", content: written.text, refusal: None },
            logprobs: self.logprobs.then(|| logprobs::of_chat(generator, written.tokens)),
            finish_reason: reason(written.reason),
        }
    }

    fn begin(&self, index: usize) -> Option<ChatDelta> {
        let delta = Delta { role: Some("assistant"), content: Some(String::new()) };
        Some(ChatDelta { index, delta, logprobs: None, finish_reason: None })
    }

    fn piece(&self, generator: &Generator, index: usize, text: String, tokens: Vec<TokenLogprob>) -> ChatDelta {
        let logprobs = self.logprobs.then(|| logprobs::of_chat(generator, tokens));
        ChatDelta { index, delta: Delta { role: None, content: Some(text) }, logprobs, finish_reason: None }
    }

    fn end(&self, index: usize, finish: FinishReason) -> ChatDelta {
        ChatDelta { index, delta: Delta::default(), logprobs: None, finish_reason: Some(reason(finish)) }
    }
}

/// Why a text has ended, as OpenAI calls it.
pub(super) fn reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
    }
}
