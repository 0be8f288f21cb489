//! How many requests are answered or wait at once. Those beyond are refused at once: nothing of them is kept in memory.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::Method;
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::dialect::Dialect;
use super::{Api, ApiError, body};

/// The places for requests.
#[derive(Debug)]
pub(super) struct Admission {
    places: Arc<Semaphore>,
    count: usize,
}

impl Admission {
    pub(super) fn new(count: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))), count }
    }
}

/// Gives a request a place until its answer has ended, or refuses it. What only looks (GET, HEAD) needs none, so that
/// health is told at all times.
pub(super) async fn admit(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    match Arc::clone(&api.admission.places).try_acquire_owned() {
        Ok(place) => next.run(request).await.map(|body| Body::new(Held { body, _place: place })),
        Err(_) => {
            let (parts, body) = request.into_parts();
            body::discard(body).await;
            let error = ApiError::overloaded(api.admission.count);
            Dialect::of_path(parts.uri.path()).refusal(error).into_response()
        }
    }
}

/// A body that keeps its request's place.
struct Held {
    body: Body,
    _place: OwnedSemaphorePermit,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
