//! Alibaba Cloud Function Compute: a custom runtime is an HTTP server that can be told to get ready, and tells the log of
//! each invocation.

use std::io::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http::{HeaderName, HeaderValue, StatusCode};
use tracing::Instrument as _;

use crate::api::{ApiError, Function};

/// The header that says which invocation a request is.
pub(super) const REQUEST_ID: &str = "x-fc-request-id";
const STATUS: HeaderName = HeaderName::from_static("x-fc-status");
const SUCCESS: HeaderValue = HeaderValue::from_static("200");
const FAILURE: HeaderValue = HeaderValue::from_static("404");
const INITIALIZE: &str = "/initialize";

/// Routes as this runtime asks for them. Requests that came by HTTP pass unchanged.
pub(super) fn around(routes: Router, function: &Function) -> Router {
    let api = function.api();
    let initialize = move || {
        let api = Arc::clone(&api);
        async move { answer(Function::ready(&api).await.map(|()| StatusCode::OK.into_response())) }
    };
    routes.route(INITIALIZE, post(initialize)).layer(middleware::from_fn(tell))
}

/// The answer to an event: this runtime knows success from failure by a header, and the status to go with it is 404.
pub(super) fn answer(outcome: Result<Response, ApiError>) -> Response {
    let (mut response, status) = match outcome {
        Ok(response) => (response, SUCCESS),
        Err(error) => {
            let mut response = error.into_response();
            *response.status_mut() = StatusCode::NOT_FOUND;
            (response, FAILURE)
        }
    };
    response.headers_mut().insert(STATUS, status);
    response
}

/// Tells the log when an invocation begins and ends, in the lines by which this runtime tells whose the others are, and
/// notes its id with all that is logged meanwhile.
async fn tell(request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    let Some(id) = id else { return next.run(request).await };
    let what = if request.uri().path() == INITIALIZE { "Initialize" } else { "Invoke" };
    say(&format!("FC {what} Start RequestId: {id}"));
    let span = tracing::info_span!("invocation", request_id = id);
    let response = next.run(request).instrument(span).await;
    let failed = response.headers().get(STATUS) == Some(&FAILURE);
    let error = if failed { ", Error: Unhandled function error" } else { "" };
    say(&format!("FC {what} End RequestId: {id}{error}"));
    response
}

fn say(line: &str) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}
