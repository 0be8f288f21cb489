//! Answers as they come: server-sent events, as OpenAI frames them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use http_body::Frame;
use serde::Serialize;

use super::collect;
use super::generation::{Form, Head, Running, Usage};
use crate::api::dialect::Dialect;
use crate::api::{ApiError, timing};
use crate::task::generate::Event;

/// Tells nginx, and others that know it, not to gather what comes.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Answers with a stream. What fails before it begins is an error like any other.
///
/// # Errors
/// A request that fails before its first event.
pub(super) async fn respond<F: Form>(
    mut running: Running<F>,
    steps: &[(&str, Duration)],
) -> Result<Response, ApiError> {
    let first = match running.events.recv().await {
        Some(Event::Failed(error)) => return Err(ApiError::internal(format!("generating failed: {error}"))),
        Some(first) => first,
        None => return Err(collect::ended()),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    let model = std::sync::Arc::clone(running.generator.model());
    let mut stream = Stream { left: running.choices, running, ready: VecDeque::new() };
    stream.begin();
    stream.take(first);
    let mut response = (headers, Body::new(stream)).into_response();
    timing::add(&mut response, &model, steps);
    Ok(response)
}

/// A body that writes events as they come. Whoever drops it ends the request.
struct Stream<F> {
    running: Running<F>,
    /// How many texts have not ended.
    left: usize,
    ready: VecDeque<Bytes>,
}

/// A part of an answer.
#[derive(Serialize)]
struct Chunk<'a, D> {
    #[serde(flatten)]
    head: &'a Head,
    choices: Vec<D>,
    /// Null in all but the last, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
}

impl<F: Form> Stream<F> {
    fn begin(&mut self) {
        for index in 0..self.running.choices {
            let delta = self.running.form.begin(index);
            self.send(delta);
        }
    }

    fn take(&mut self, event: Event) {
        self.running.usage.count(&event);
        let form = &self.running.form;
        match event {
            Event::Started { .. } => {}
            Event::Piece { choice, text, tokens } => {
                let delta = form.piece(&self.running.generator, choice, text, tokens);
                self.send(Some(delta));
            }
            Event::Finished { choice, reason, .. } => {
                let delta = form.end(choice, reason);
                self.send(Some(delta));
                self.left = self.left.saturating_sub(1);
                if self.left == 0 {
                    self.end();
                }
            }
            Event::Failed(error) => self.fail(&ApiError::internal(format!("generating failed: {error}"))),
        }
    }

    fn send(&mut self, delta: Option<F::Delta>) {
        let Some(delta) = delta else { return };
        let usage = self.running.include_usage.then_some(None);
        let chunk = event(&Chunk { head: &self.running.head, choices: vec![delta], usage });
        self.ready.push_back(chunk);
    }

    fn end(&mut self) {
        if self.running.include_usage {
            let usage = Some(Some(self.running.usage));
            let chunk = event(&Chunk::<F::Delta> { head: &self.running.head, choices: Vec::new(), usage });
            self.ready.push_back(chunk);
        }
        self.ready.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
    }

    /// Ends with an error, and without saying that it is done.
    fn fail(&mut self, error: &ApiError) {
        error.log();
        let (_, body) = Dialect::OpenAi.body(error);
        self.ready.push_back(event(&body));
        self.left = 0;
    }
}

/// One event.
fn event(data: &impl Serialize) -> Bytes {
    let mut text = b"data: ".to_vec();
    if let Err(error) = serde_json::to_writer(&mut text, data) {
        tracing::error!(%error, "event not written");
    }
    text.extend_from_slice(b"\n\n");
    text.into()
}

impl<F: Form> HttpBody for Stream<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        while this.left > 0 {
            match this.running.events.poll_recv(context) {
                Poll::Ready(Some(event)) => this.take(event),
                Poll::Ready(None) => this.fail(&collect::ended()),
                Poll::Pending if this.ready.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if this.ready.is_empty() {
            return Poll::Ready(None);
        }
        // What is ready goes out together.
        let bytes = match this.ready.len() {
            1 => this.ready.pop_front().unwrap_or_default(),
            _ => this.ready.drain(..).collect::<Vec<_>>().concat().into(),
        };
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}
