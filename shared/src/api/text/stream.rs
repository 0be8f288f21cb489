//! A body as lines that come in, and a body as lines that go out.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

use crate::api::ApiError;

/// How many lines are taken together, and how many bytes of them: this bounds the memory of a stream.
const LINES: usize = 512;
const BYTES: usize = 1 << 20;

/// A line of the body; the first has the number 1.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: usize,
    /// Its content, or why there is none.
    pub(super) content: Result<Bytes, ApiError>,
}

/// The lines of a body, read as they come.
#[derive(Debug)]
pub(super) struct Lines {
    body: Body,
    buffer: BytesMut,
    number: usize,
    /// The longest line in bytes.
    limit: usize,
    /// Whether the line that is being read is too long, so that the rest of it is thrown away.
    skipping: bool,
    ended: bool,
}

impl Lines {
    pub(super) fn new(body: Body, limit: usize) -> Self {
        Self { body, buffer: BytesMut::new(), number: 0, limit, skipping: false, ended: false }
    }

    /// Waits for a line, and takes with it what else is there; none at the end. Empty lines are left out.
    pub(super) async fn next(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut bytes = 0;
        loop {
            while lines.len() < LINES && bytes < BYTES {
                let Some(line) = self.take() else { break };
                bytes += line.content.as_ref().map_or(0, Bytes::len);
                lines.push(line);
            }
            if self.ended || lines.len() >= LINES || bytes >= BYTES {
                return lines;
            }
            let frame = if lines.is_empty() {
                self.body.frame().await
            } else {
                let body = &mut self.body;
                let ready = std::future::poll_fn(|context| match Pin::new(&mut *body).poll_frame(context) {
                    Poll::Pending => Poll::Ready(None),
                    Poll::Ready(frame) => Poll::Ready(Some(frame)),
                });
                let Some(frame) = ready.await else { return lines };
                frame
            };
            match frame {
                Some(Ok(frame)) => self.buffer.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(error)) => {
                    self.ended = true;
                    self.buffer.clear();
                    self.number += 1;
                    let content = Err(ApiError::bad_request(format!("the body broke off: {error}")));
                    lines.push(Line { number: self.number, content });
                }
                None => self.ended = true,
            }
        }
    }

    /// The next line that is in the buffer as a whole; at the end, what is left.
    fn take(&mut self) -> Option<Line> {
        loop {
            let end = self.buffer.iter().position(|&byte| byte == b'\n');
            let line = match end {
                Some(end) => self.buffer.split_to(end + 1).freeze(),
                None if self.ended && !self.buffer.is_empty() => self.buffer.split().freeze(),
                None if self.buffer.len() > self.limit => {
                    self.buffer.clear();
                    let first = !std::mem::replace(&mut self.skipping, true);
                    return first.then(|| self.too_long());
                }
                None => return None,
            };
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if line.len() > self.limit {
                return Some(self.too_long());
            }
            self.number += 1;
            if !line.trim_ascii().is_empty() {
                return Some(Line { number: self.number, content: Ok(line) });
            }
        }
    }

    fn too_long(&mut self) -> Line {
        self.number += 1;
        Line { number: self.number, content: Err(ApiError::body_too_large(self.limit, None)) }
    }
}

/// A body whose chunks are sent while the client reads; whoever sends waits for whoever reads.
pub(super) fn channel() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Body::new(Chunks(receiver)))
}

struct Chunks(mpsc::Receiver<Bytes>);

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn numbers(text: &str, limit: usize) -> Vec<(usize, Option<String>)> {
        let mut lines = Lines::new(Body::from(text.to_owned()), limit);
        let mut all = Vec::new();
        loop {
            let next = lines.next().await;
            if next.is_empty() {
                return all;
            }
            let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap().trim().to_owned();
            all.extend(next.into_iter().map(|line| (line.number, line.content.ok().map(text))));
        }
    }

    #[tokio::test]
    async fn lines_are_counted_and_empty_ones_left_out() {
        let lines = numbers("a\n\n  \r\nb\r\nc", 10).await;
        let expected = [(1, "a"), (4, "b"), (5, "c")].map(|(number, text)| (number, Some(text.to_owned())));
        assert_eq!(lines, expected);
        assert_eq!(numbers("", 10).await, []);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_an_error_and_the_rest_goes_on() {
        let lines = numbers(&format!("a\n{}\nb", "x".repeat(50)), 10).await;
        assert_eq!(lines, [(1, Some("a".to_owned())), (2, None), (3, Some("b".to_owned()))]);
    }

    #[tokio::test]
    async fn a_long_line_in_pieces_is_one_error() {
        let (sender, body) = channel();
        tokio::spawn(async move {
            for piece in ["a\nxxxxxx", "xxxxxx", "xxxxxxxxxxxxxx", "xx\nb\n"] {
                sender.send(Bytes::from(piece)).await.unwrap();
            }
        });
        let mut lines = Lines::new(body, 10);
        let mut all = Vec::new();
        loop {
            let next = lines.next().await;
            if next.is_empty() {
                break;
            }
            all.extend(next.into_iter().map(|line| (line.number, line.content.is_ok())));
        }
        assert_eq!(all, [(1, true), (2, false), (3, true)]);
    }

    #[tokio::test]
    async fn many_lines_come_in_parts() {
        let mut lines = Lines::new(Body::from("x\n".repeat(3 * LINES)), 10);
        for _ in 0..3 {
            assert_eq!(lines.next().await.len(), LINES);
        }
        assert!(lines.next().await.is_empty());
    }
}
