//! The dialects: which paths a function answers, and how its requests, answers and errors look.

mod body;
mod compute;
mod error;
mod inference;
mod models;
mod openapi;
mod predict;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use compute::Compute;
pub use error::ApiError;

use crate::config::Config;
use crate::model::Models;
use crate::store::Store;

/// What every handler shares.
#[derive(Debug)]
pub(crate) struct Api {
    models: Models,
    compute: Compute,
    max_body_bytes: usize,
}

/// The function `predict`: `/predict`, the Open Inference Protocol v2, `/models`, `/healthz` and `/openapi.json`.
///
/// Nothing is loaded and no store is contacted before a request asks for it.
pub fn predict(config: &Config) -> Router {
    let store = Store::new(config.store.clone());
    let models = Models::new(store, config.models.clone(), config.default_model.clone(), config.refresh);
    let api = Api { models, compute: Compute::new(config.threads), max_body_bytes: config.max_body_bytes };
    Router::new()
        .route("/healthz", get(models::health))
        .route("/models", get(models::list))
        .route("/models/{model}", get(models::describe))
        .route("/predict", post(predict::default_model))
        .route("/models/{model}/predict", post(predict::named_model))
        .route("/openapi.json", get(openapi::document))
        .merge(inference::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Arc::new(api))
}

async fn not_found(request: Request) -> Response {
    refuse(&request, ApiError::not_found(request.uri().path()))
}

async fn method_not_allowed(request: Request) -> Response {
    refuse(&request, ApiError::method_not_allowed(request.method().as_str(), request.uri().path()))
}

/// An error in the dialect that the path belongs to.
fn refuse(request: &Request, error: ApiError) -> Response {
    let path = request.uri().path();
    if path == "/v2" || path.starts_with("/v2/") {
        inference::Refusal(error).into_response()
    } else {
        error.into_response()
    }
}
