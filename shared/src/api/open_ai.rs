//! `/v1`, as OpenAI has it: `POST /v1/embeddings`, `POST /v1/chat/completions`, `POST /v1/completions`, `GET /v1/models`.

mod chat;
mod collect;
mod completion;
mod embeddings;
mod fields;
mod generation;
mod logprobs;
mod messages;
mod sse;
mod wishes;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};

use super::body::json_response;
use super::dialect::{Dialect, Refusal};
use super::{Api, ApiError, text};
use crate::model::ModelName;

/// `/v1/embeddings`.
pub(super) fn embeddings() -> Router<Arc<Api>> {
    text::routes::<embeddings::Request>("/v1/embeddings")
}

/// `/v1/chat/completions` and `/v1/completions`.
pub(super) fn generation() -> Router<Arc<Api>> {
    generation::routes::<chat::Chat>("/v1/chat/completions")
        .merge(generation::routes::<completion::Completion>("/v1/completions"))
}

/// The body of `/v1/embeddings`.
pub(super) type Embeddings = embeddings::Request;

/// Answers the body of a chat or, without `messages`, of a completion.
///
/// # Errors
/// A request that is refused, or fails.
pub(super) async fn generate(api: &Arc<Api>, model: &str, mut fields: Map<String, Value>) -> Result<Bytes, ApiError> {
    for streaming in ["stream", "stream_options"] {
        fields.remove(streaming);
    }
    let is_chat = fields.contains_key("messages");
    let request = Request::new(Body::from(Value::Object(fields).to_string()));
    let answer = match is_chat {
        true => generation::answer::<chat::Chat>(api, Some(model), request).await?,
        false => generation::answer::<completion::Completion>(api, Some(model), request).await?,
    };
    let whole = axum::body::to_bytes(answer.into_body(), usize::MAX).await;
    whole.map_err(|error| ApiError::internal(format!("the answer broke off: {error}")))
}

/// `/v1/models`.
pub(super) fn models() -> Router<Arc<Api>> {
    Router::new().route("/v1/models", get(list)).route("/v1/models/{model}", get(retrieve))
}

#[derive(Serialize)]
struct Entry {
    id: ModelName,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

impl Entry {
    fn new(id: ModelName) -> Self {
        Self { id, object: "model", created: 0, owned_by: "emberlite" }
    }
}

async fn list(State(api): State<Arc<Api>>) -> Result<Response, Refusal> {
    #[derive(Serialize)]
    struct List {
        object: &'static str,
        data: Vec<Entry>,
    }
    let models = api.models.list().await.map_err(|error| Dialect::OpenAi.refusal(error))?;
    let data = models.into_iter().map(|model| Entry::new(model.name)).collect();
    Ok(json_response(StatusCode::OK, &List { object: "list", data }))
}

async fn retrieve(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<Response, Refusal> {
    let models = api.models.list().await.map_err(|error| Dialect::OpenAi.refusal(error))?;
    match models.into_iter().find(|model| model.name.as_str() == name) {
        Some(model) => Ok(json_response(StatusCode::OK, &Entry::new(model.name))),
        None => Err(Dialect::OpenAi.refusal(ApiError::unknown_model(format!("there is no model {name:?}")))),
    }
}
