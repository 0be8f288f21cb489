//! AWS Lambda: function URLs, APIs of both kinds and load balancers, answered before the function's deadline.

use std::convert::Infallible;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Request, Uri};
use lambda_http::RequestExt as _;
use lambda_http::request::RequestContext;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

use crate::api::{ApiError, Deadline};
use crate::config::InvokeMode;
use crate::telemetry;

/// What is kept of a function's time to send the answer that time is up.
const RESERVE: Duration = Duration::from_millis(200);

/// Whether this process was started by Lambda, or by an emulator of it.
pub(super) fn is_runtime() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// How long the first event is not asked for while the model loads: Lambda starts a function over that is not there
/// after ten seconds. It has its full share of the CPU until then.
const INIT: Duration = Duration::from_secs(8);

/// Answers events until Lambda ends the process. The first one is asked for when `preload` has ended, or takes too long:
/// it then goes on while the event's request waits for the same load.
///
/// # Errors
/// A runtime interface that can't be spoken to, in words.
pub(super) async fn run(routes: Router, mode: InvokeMode, preload: JoinHandle<()>) -> Result<(), String> {
    wait_for(preload).await;
    let service = tower::service_fn(move |request: lambda_http::Request| {
        let deadline = request.lambda_context_ref().and_then(|context| deadline(context.deadline));
        let answer = routes.clone().oneshot(to_axum(request, deadline));
        async move {
            let in_time = async {
                match mode {
                    InvokeMode::Buffered => whole(answer).await,
                    InvokeMode::ResponseStream => answer.await,
                }
            };
            let outcome = match deadline {
                Some(deadline) => tokio::time::timeout_at(deadline.into(), in_time).await,
                None => Ok(in_time.await),
            };
            let response = outcome.unwrap_or_else(|_| Ok(ApiError::deadline().into_response()));
            Ok::<Response, Infallible>(response.unwrap_or_else(|never| match never {}))
        }
    });
    telemetry::cold_start::is_ready();
    let outcome = match mode {
        InvokeMode::Buffered => lambda_http::run(service).await,
        InvokeMode::ResponseStream => lambda_http::run_with_streaming_response(service).await,
    };
    outcome.map_err(|error| format!("the Lambda runtime interface failed: {error}"))
}

/// An answer with its whole body: in this mode Lambda sends none in parts, and the deadline is for all of it.
async fn whole(answer: impl Future<Output = Result<Response, Infallible>>) -> Result<Response, Infallible> {
    let (parts, body) = answer.await?.into_parts();
    Ok(match axum::body::to_bytes(body, usize::MAX).await {
        Ok(bytes) => Response::from_parts(parts, bytes.into()),
        Err(error) => ApiError::internal(format!("the answer broke off: {error}")).into_response(),
    })
}

/// Waits for a load that began at start, as long as Lambda lets a function start.
pub(super) async fn wait_for(preload: JoinHandle<()>) {
    drop(tokio::time::timeout(INIT, preload).await);
}

/// When the function's time ends, less what the answer takes, by what Lambda says of it in milliseconds since 1970.
/// Emulators say one that has long passed: it counts as none.
pub(super) fn deadline(said: u64) -> Option<Instant> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let left = Duration::from_millis(said).checked_sub(now)?;
    Some(Instant::now() + left.saturating_sub(RESERVE))
}

/// The path as clients of a function know it: which stage of an API they come by is the gateway's business.
fn without_stage(request: &lambda_http::Request) -> Option<Uri> {
    let stage = match request.request_context_ref()? {
        RequestContext::ApiGatewayV1(context) => context.stage.as_deref(),
        RequestContext::ApiGatewayV2(context) => context.stage.as_deref(),
        _ => None,
    };
    let whole = request.uri().path_and_query()?.as_str();
    let rest = whole.strip_prefix('/')?.strip_prefix(stage?)?;
    if rest.starts_with('/') { rest.parse().ok() } else { None }
}

/// What is answered in parts is to end a little before an answer is given up.
fn to_axum(mut request: lambda_http::Request, deadline: Option<Instant>) -> Request<Body> {
    if let Some(uri) = without_stage(&request) {
        *request.uri_mut() = uri;
    }
    let mut request = request.map(|body| match body {
        lambda_http::Body::Empty => Body::empty(),
        lambda_http::Body::Text(text) => Body::from(text),
        lambda_http::Body::Binary(bytes) => Body::from(bytes),
        _ => Body::empty(),
    });
    if let Some(early) = deadline.and_then(|deadline| deadline.checked_sub(RESERVE)) {
        request.extensions_mut().insert(Deadline(early));
    }
    request
}
