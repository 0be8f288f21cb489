//! What every endpoint for texts shares: reading a request, choosing its model, running it, answering.

mod lines;
mod stream;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::body::{self, json_response, media_type};
use super::dialect::{Dialect, Refusal};
use super::{Api, ApiError, models, timing};
use crate::model::{Model, Task};
use crate::task::text::{self, Outcome, Outcomes, Query};

/// A request that asks for something of texts, and how it is answered.
pub(super) trait Endpoint: Sized + Send + 'static {
    /// The body of the answer.
    type Answer: Serialize + Send + 'static;

    /// The tasks of the models that can answer.
    const TASKS: &'static [Task];

    /// Whose errors a client expects whose request can't be read.
    const DIALECT: Dialect;

    /// Reads a body.
    fn read(body: &[u8]) -> Result<Self, Refusal>;

    /// Whose errors the client expects.
    fn dialect(&self) -> Dialect {
        Self::DIALECT
    }

    /// The model that the body names.
    fn model(&self) -> Option<&str>;

    /// What the model is to run.
    fn query(&self, model: &Model) -> Result<Query, ApiError>;

    /// What the client is told of it.
    fn answer(self, model: &Model, outcome: Outcome) -> Result<Self::Answer, ApiError>;
}

/// Reads a body of a dialect whose bodies have one form.
pub(super) fn read_as<T: DeserializeOwned>(body: &[u8], dialect: Dialect) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| dialect.refusal(ApiError::unfit_json(&error)))
}

/// The endpoint at `path`, and below `/models/{model}`.
pub(super) fn routes<E: Endpoint>(path: &str) -> Router<Arc<Api>> {
    let default_model = async |State(api): State<Arc<Api>>, headers: HeaderMap, body: Body| {
        respond::<E>(&api, None, &headers, body).await
    };
    let named_model = async |State(api): State<Arc<Api>>, Path(name): Path<String>, headers: HeaderMap, body: Body| {
        respond::<E>(&api, Some(name), &headers, body).await
    };
    Router::new().route(path, post(default_model)).route(&format!("/models/{{model}}{path}"), post(named_model))
}

/// Whether a body is JSON Lines.
pub(super) fn is_lines(headers: &HeaderMap) -> bool {
    matches!(media_type(headers).as_deref(), Some("application/jsonl" | "application/x-ndjson"))
}

/// Answers a body of JSON, or of JSON Lines.
pub(super) async fn respond<E: Endpoint>(
    api: &Arc<Api>,
    named: Option<String>,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let outcome = if is_lines(headers) {
        lines::respond::<E>(api, named, headers, body).await
    } else {
        respond_one::<E>(api, named.as_deref(), headers, body).await
    };
    outcome.unwrap_or_else(IntoResponse::into_response)
}

async fn respond_one<E: Endpoint>(
    api: &Api,
    named: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let body = body::read_json(headers, body, api.max_body_bytes).await.map_err(|error| E::DIALECT.refusal(error))?;
    let request = E::read(&body)?;
    let dialect = request.dialect();
    let answer = async {
        let start = Instant::now();
        let name = models::choose(api, named, request.model()).await?;
        let model = models::load(api, &name).await?;
        answer(api, &model, request, start).await
    };
    answer.await.map_err(|error| dialect.refusal(error))
}

/// Answers one request of a model that has been loaded since `start`.
pub(super) async fn answer<E: Endpoint>(
    api: &Api,
    model: &Arc<Model>,
    request: E,
    start: Instant,
) -> Result<Response, ApiError> {
    let load = start.elapsed();
    let worker = Arc::clone(model);
    let (body, tokenize, run) = api.compute.run(move || evaluate(&worker, vec![request])).await?;
    let body = body.into_iter().next().unwrap_or_else(|| Err(ApiError::internal("there is no answer")))?;
    let mut response = json_response(StatusCode::OK, &body);
    timing::add(&mut response, model, &[("load", load), ("tokenize", tokenize), ("run", run)]);
    Ok(response)
}

pub(super) type Evaluated<E> =
    (Vec<Result<<E as Endpoint>::Answer, ApiError>>, std::time::Duration, std::time::Duration);

/// Answers requests of one model together, each as if it were alone; and how long texts became tokens, and the model
/// ran.
pub(super) fn evaluate<E: Endpoint>(model: &Model, requests: Vec<E>) -> Evaluated<E> {
    let query = |request: &E| match E::TASKS.contains(&model.manifest().task) {
        true => request.query(model),
        false => Err(ApiError::wrong_task(model.manifest())),
    };
    let mut queries = Vec::with_capacity(requests.len());
    let asked: Vec<_> = requests
        .into_iter()
        .map(|request| {
            queries.push(query(&request)?);
            Ok(request)
        })
        .collect();
    let Outcomes { outcomes, tokenize, run } = text::evaluate(model, &queries);
    let mut outcomes = outcomes.into_iter();
    let answers = asked.into_iter().map(|request: Result<E, ApiError>| {
        let request = request?;
        let outcome = outcomes.next().ok_or_else(|| ApiError::internal("there is no answer"))??;
        request.answer(model, outcome)
    });
    (answers.collect(), tokenize, run)
}
