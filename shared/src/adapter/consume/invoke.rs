//! Events that Alibaba Cloud Function Compute hands over: `POST /invoke`, answered as Lambda's are.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use http::{HeaderMap, StatusCode};

use super::{Receiver, events};
use crate::adapter::function_compute::{self, REQUEST_ID};
use crate::api::{self, ApiError};
use crate::consume::Limit;

pub(super) fn routes(receiver: Receiver) -> Router {
    Router::new().route("/invoke", post(invoke)).with_state(receiver)
}

async fn invoke(State(receiver): State<Receiver>, headers: HeaderMap, body: Body) -> Response {
    function_compute::answer(see_to(&receiver, &headers, body).await)
}

async fn see_to(receiver: &Receiver, headers: &HeaderMap, body: Body) -> Result<Response, ApiError> {
    let body = receiver.read(headers, body).await?;
    let event = serde_json::from_slice(&body).map_err(|error| ApiError::malformed_json(&error))?;
    let id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    let answer = events::answer(&receiver.consumer, event, id, &Limit::at(None)).await?;
    Ok(api::json_response(StatusCode::OK, &answer))
}
