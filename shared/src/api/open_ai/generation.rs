//! What chats and completions share: from a body to a running request, and from its events to an answer.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::StatusCode;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedReceiver;

use super::fields::Fields;
use super::wishes::Wishes;
use super::{collect, sse};
use crate::api::body::{self, json_response};
use crate::api::dialect::{Dialect, Refusal};
use crate::api::generators::GenerateRefusal;
use crate::api::{Api, ApiError, Deadline, models, timing};
use crate::model::Task;
use crate::task::generate::{self, Event, FinishReason, GenerateError, Generator, TokenLogprob};

/// A kind of request that wants text.
pub(super) trait Ask: Sized + Send + 'static {
    /// What makes answers of its kind.
    type Form: Form;

    /// The least that may be asked for.
    const LEAST_TOKENS: i64;
    /// How many tokens a text has at most where the request does not say; `None` for what the context has room for.
    const DEFAULT_TOKENS: Option<usize>;
    /// The field that holds what the model reads.
    const PROMPT: &'static str;
    /// Whether a text goes on from what the model reads.
    const CONTINUES: bool;

    /// Takes the fields that are its own.
    fn take(fields: &mut Fields, wishes: &Wishes) -> Result<Self, ApiError>;

    /// What the model is to read: each gets texts of its own.
    fn prompts(&self, generator: &Generator) -> Result<Vec<Vec<u32>>, GenerateError>;

    /// Whether log probabilities are wanted, and of how many alternatives.
    fn logprobs(&self) -> Option<usize>;

    /// What makes its answers.
    fn form(&self, generator: &Generator, prompts: &[Vec<u32>], choices: usize) -> Self::Form;
}

/// Makes answers: whole ones, and the chunks of a stream.
pub(super) trait Form: Send + Sync + Unpin + 'static {
    /// A text with what belongs to it.
    type Choice: Serialize + Send;
    /// A part of it.
    type Delta: Serialize + Send;

    const OBJECT: &'static str;
    const CHUNK_OBJECT: &'static str;
    const ID: &'static str;

    /// A whole text.
    fn whole(&self, generator: &Generator, index: usize, text: Written) -> Self::Choice;
    /// What a stream begins a text with.
    fn begin(&self, index: usize) -> Option<Self::Delta>;
    /// What is added to a text.
    fn piece(&self, generator: &Generator, index: usize, text: String, tokens: Vec<TokenLogprob>) -> Self::Delta;
    /// What a stream ends a text with.
    fn end(&self, index: usize, reason: FinishReason) -> Self::Delta;
}

/// A text as it is when it has ended.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) tokens: Vec<TokenLogprob>,
    pub(super) reason: FinishReason,
}

/// How many tokens were read and written.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Usage {
    pub(super) prompt_tokens: usize,
    pub(super) completion_tokens: usize,
    pub(super) total_tokens: usize,
    pub(super) prompt_tokens_details: PromptDetails,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct PromptDetails {
    pub(super) cached_tokens: usize,
}

impl Usage {
    /// Counts what an event tells of.
    pub(super) fn count(&mut self, event: &Event) {
        match event {
            Event::Started { cached_tokens } => self.prompt_tokens_details.cached_tokens += cached_tokens,
            Event::Finished { tokens, .. } => self.completion_tokens += tokens,
            Event::Piece { .. } | Event::Failed(_) => {}
        }
        self.total_tokens = self.prompt_tokens + self.completion_tokens;
    }
}

/// What every answer and every chunk says.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) system_fingerprint: String,
}

impl Head {
    fn new(generator: &Generator, id: &str, object: &'static str) -> Self {
        let model = generator.model();
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let digest = model.digest().to_string();
        Self {
            id: format!("{id}-{:016x}", generate::any_number()),
            object,
            created,
            model: model.manifest().name.to_string(),
            system_fingerprint: format!("fp_{}", digest.get(..12).unwrap_or(&digest)),
        }
    }
}

/// A request that is under way.
pub(super) struct Running<F> {
    pub(super) generator: Arc<Generator>,
    pub(super) form: F,
    pub(super) head: Head,
    pub(super) events: UnboundedReceiver<Event>,
    /// How many texts there will be.
    pub(super) choices: usize,
    pub(super) usage: Usage,
    pub(super) include_usage: bool,
}

/// The endpoint at `path`, and below `/models/{model}`.
pub(super) fn routes<A: Ask>(path: &str) -> Router<Arc<Api>> {
    let default_model = async |State(api): State<Arc<Api>>, request: Request| respond::<A>(&api, None, request).await;
    let named_model = async |State(api): State<Arc<Api>>, Path(name): Path<String>, request: Request| {
        respond::<A>(&api, Some(name), request).await
    };
    Router::new().route(path, post(default_model)).route(&format!("/models/{{model}}{path}"), post(named_model))
}

async fn respond<A: Ask>(api: &Arc<Api>, named: Option<String>, request: Request) -> Response {
    let answer = answer::<A>(api, named.as_deref(), request).await;
    let refusal = |error: ApiError| Dialect::OpenAi.refusal(error);
    answer.map_err(refusal).unwrap_or_else(Refusal::into_response)
}

/// Answers a request for text.
///
/// # Errors
/// A request that is refused, or fails before its answer begins.
pub(super) async fn answer<A: Ask>(
    api: &Arc<Api>,
    named: Option<&str>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, content) = request.into_parts();
    let bytes = body::read_json(&parts.headers, content, api.max_body_bytes).await?;
    let mut fields = Fields::read(&bytes)?;
    let wishes = Wishes::take(&mut fields, A::LEAST_TOKENS)?;
    let ask = A::take(&mut fields, &wishes)?;
    fields.end()?;

    let start = Instant::now();
    let name = models::choose(api, named, wishes.model.as_deref()).await?;
    let model = models::load(api, &name).await?;
    if model.manifest().task != Task::Generate {
        return Err(ApiError::wrong_task(model.manifest()));
    }
    let load = start.elapsed();
    let deadline = parts.extensions.get::<Deadline>().map(|deadline| deadline.0);
    let generator = api.generators.of(model)?;
    let stream = wishes.stream;
    let work = move || begin(ask, &wishes, generator, deadline);
    let (running, tokenize) = api.compute.run(work).await??;
    let steps = [("load", load), ("tokenize", tokenize)];
    if stream { sse::respond(running, &steps).await } else { whole(running, &steps).await }
}

/// Starts a request; also tells how long its prompts took to become tokens.
fn begin<A: Ask>(
    ask: A,
    wishes: &Wishes,
    generator: Arc<Generator>,
    deadline: Option<Instant>,
) -> Result<(Running<A::Form>, Duration), ApiError> {
    let refuse = |error: GenerateError| ApiError::from(GenerateRefusal { error, field: A::PROMPT });
    let start = Instant::now();
    let prompts = ask.prompts(&generator).map_err(refuse)?;
    let tokenize = start.elapsed();
    let spec = generator.spec().map_err(refuse)?;
    let sampling = wishes.sampling(&spec.sampling);
    if let Some((id, _)) = sampling.logit_bias.iter().find(|(id, _)| *id as usize >= spec.vocabulary) {
        let message = format!(
            "Invalid key in 'logit_bias': {id}. This model's token ids are from 0 to {}.",
            spec.vocabulary.saturating_sub(1)
        );
        return Err(ApiError::parameter("invalid_value", "logit_bias", message));
    }
    let constraint = wishes.schema.as_ref().map(|schema| generator.constraint(schema)).transpose().map_err(refuse)?;
    let mut requests = Vec::with_capacity(prompts.len());
    for (index, prompt) in prompts.iter().enumerate() {
        requests.push(generate::Request {
            max_tokens: room::<A>(&generator, prompt.len(), wishes.max_tokens)?,
            prompt: prompt.clone(),
            continues: A::CONTINUES,
            first_choice: index * wishes.choices,
            choices: wishes.choices,
            sampling: sampling.clone(),
            stop: wishes.stop.clone(),
            logprobs: ask.logprobs(),
            ignore_end: wishes.ignore_end,
            constraint: constraint.clone(),
            deadline,
        });
    }
    let prompt_tokens = prompts.iter().map(Vec::len).sum();
    let form = ask.form(&generator, &prompts, wishes.choices);
    let object = if wishes.stream { A::Form::CHUNK_OBJECT } else { A::Form::OBJECT };
    let running = Running {
        head: Head::new(&generator, A::Form::ID, object),
        events: generator.start(requests).map_err(refuse)?,
        form,
        choices: prompts.len() * wishes.choices,
        usage: Usage { prompt_tokens, total_tokens: prompt_tokens, ..Usage::default() },
        include_usage: wishes.include_usage,
        generator,
    };
    Ok((running, tokenize))
}

/// How many tokens a text may have that goes on from so many.
fn room<A: Ask>(generator: &Generator, prompt: usize, wanted: Option<usize>) -> Result<usize, ApiError> {
    let most = generator.context_tokens();
    let left = most.saturating_sub(prompt);
    let wanted_least = wanted.unwrap_or(1);
    if left < wanted_least {
        let asked = match wanted {
            Some(wanted) => format!(
                "you requested {} tokens ({prompt} in the {}, {wanted} in the completion)",
                prompt.saturating_add(wanted),
                A::PROMPT
            ),
            None => format!("your {} resulted in {prompt} tokens, which leaves no room for a completion", A::PROMPT),
        };
        let message = format!(
            "This model's maximum context length is {most} tokens. However, {asked}. Please reduce the length of the {} or of the completion.",
            A::PROMPT
        );
        return Err(ApiError::parameter("context_length_exceeded", A::PROMPT, message));
    }
    Ok(wanted.or(A::DEFAULT_TOKENS).map_or(left, |wanted| wanted.min(left)))
}

/// Answers with all texts when they have ended.
async fn whole<F: Form>(mut running: Running<F>, steps: &[(&str, Duration)]) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct Answer<C> {
        #[serde(flatten)]
        head: Head,
        choices: Vec<C>,
        usage: Usage,
    }
    let start = Instant::now();
    let texts = collect::all(&mut running.events, running.choices, &mut running.usage).await?;
    let run = start.elapsed();
    let Running { generator, form, head, usage, .. } = running;
    let choices = texts.into_iter().enumerate().map(|(index, text)| form.whole(&generator, index, text)).collect();
    let mut response = json_response(StatusCode::OK, &Answer { head, choices, usage });
    let steps: Vec<_> = steps.iter().copied().chain([("run", run)]).collect();
    timing::add(&mut response, generator.model(), &steps);
    Ok(response)
}
