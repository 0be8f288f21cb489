//! Events that are pushed by HTTP: CloudEvents in both content modes, and Google Pub/Sub. Their senders take every status
//! from 200 on for an answer, and send again whatever has another.

mod cloud_event;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::{Receiver, events};
use crate::api::{self, ApiError};
use crate::consume::Limit;
use crate::events::cloud_id;

pub(super) fn routes(receiver: Receiver) -> Router {
    Router::new().route("/", post(take)).route("/events", post(take)).with_state(receiver)
}

/// Answers with nothing, or with the result where it has no other place.
async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Body) -> Response {
    match see_to(&receiver, &headers, body).await {
        Ok(response) => response,
        Err(error) => refuse(error),
    }
}

/// A refusal with the status of its error. Whoever gets 404 takes it that nobody is there yet, and comes again.
pub(super) fn refuse(error: ApiError) -> Response {
    let mut response = error.into_response();
    if response.status() == StatusCode::NOT_FOUND {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    response
}

async fn see_to(receiver: &Receiver, headers: &HeaderMap, body: Body) -> Result<Response, ApiError> {
    let body = receiver.read(headers, body).await?;
    let event = cloud_event::read(headers, &body)?;
    let id = cloud_id(&event).map(str::to_owned);
    let is_cloud_event = cloud_event::is(&event);
    let limit = Limit::at(None);
    let answer = events::answer(&receiver.consumer, event, id.as_deref().unwrap_or_default(), &limit).await?;
    Ok(match (answer, id) {
        (Value::Null, _) => StatusCode::NO_CONTENT.into_response(),
        (answer, Some(id)) if is_cloud_event => cloud_event::reply(&id, &answer),
        (answer, _) => api::json_response(StatusCode::OK, &answer),
    })
}
