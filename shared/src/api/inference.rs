//! The Open Inference Protocol v2 over HTTP, with the binary tensor data extension.
//!
//! <https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md>

mod metadata;
mod request;
mod response;
mod tensors;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Serialize;

use super::body::{json_response, read};
use super::dialect::Dialect;
use super::{Api, ApiError, models};
use crate::task::check_tensors;

/// The one version a model has here: its package is what tells one from the next.
const VERSION: &str = "1";
/// How many bytes of a body are JSON; the rest are tensors.
const HEADER_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// An error in the protocol's shape, with the statuses its servers use.
#[derive(Debug)]
pub(super) struct Refusal(ApiError);

impl<E: Into<ApiError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        Dialect::OpenInference.refusal(self.0).into_response()
    }
}

type Answer = Result<Response, Refusal>;

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/v2", get(metadata::server))
        .route("/v2/", get(metadata::server))
        .route("/v2/health/live", get(metadata::live))
        .route("/v2/health/ready", get(metadata::ready))
        .route("/v2/models/{model}", get(metadata::model))
        .route("/v2/models/{model}/versions/{version}", get(metadata::model_version))
        .route("/v2/models/{model}/ready", get(metadata::model_ready))
        .route("/v2/models/{model}/versions/{version}/ready", get(metadata::model_version_ready))
        .route("/v2/models/{model}/infer", post(infer))
        .route("/v2/models/{model}/versions/{version}/infer", post(infer_version))
}

async fn infer(State(api): State<Arc<Api>>, Path(name): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    let bytes = read(&headers, body, api.max_body_bytes).await?;
    let request = request::read(&headers, &bytes)?;
    let model = models::load(&api, &name).await?;
    let wanted = response::Wanted::new(&request.fields, model.manifest())?;
    let inputs = tensors::read(&request, model.manifest())?;
    check_tensors(&inputs, &model.manifest().inputs)?;
    let worker = Arc::clone(&model);
    let outputs = api.compute.run(move || worker.run(inputs)).await??;
    Ok(wanted.respond(request.fields.id.as_deref(), model.manifest(), &outputs)?)
}

async fn infer_version(
    state: State<Arc<Api>>,
    Path((name, version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    check_version(&name, &version)?;
    infer(state, Path(name), headers, body).await
}

fn check_version(name: &str, version: &str) -> Result<(), ApiError> {
    if version == VERSION {
        return Ok(());
    }
    let message = format!("model {name:?} has no version {version:?}: expected {VERSION:?}");
    Err(ApiError::unknown_model(message))
}

/// An answer of a few fields.
fn fields(body: &impl Serialize) -> Response {
    json_response(StatusCode::OK, body)
}
