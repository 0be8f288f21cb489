//! Reading one object, whole or by ranges.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use tokio::time::timeout;

use super::Place;
use crate::aws::status;
use crate::store::download::{Opened, Reading, Source};
use crate::store::fault::Fault;

/// An object of the bucket.
#[derive(Clone, Debug)]
pub(super) struct Object {
    client: Client,
    place: Arc<Place>,
    /// The whole key, the store's prefix included.
    key: String,
}

impl Object {
    pub(super) fn new(client: Client, place: Arc<Place>, key: String) -> Self {
        Self { client, place, key }
    }

    /// The whole object, of at most `longest` bytes, and its ETag; given up when nothing comes for as long as `silence`.
    pub(super) async fn whole(&self, longest: u64, silence: Duration) -> Result<(Vec<u8>, String), Fault> {
        let silent = |_| Fault::silent(silence);
        let mut opened = timeout(silence, self.get(None, None)).await.map_err(silent)??;
        if opened.total > longest {
            return Err(Fault::TooLarge { bytes: opened.total, longest });
        }
        let mut bytes = Vec::new();
        while let Some(frame) = timeout(silence, opened.body.next()).await.map_err(silent)? {
            let frame = frame.map_err(|error| Fault::Passing(format!("it broke off: {error}")))?;
            bytes.extend_from_slice(&frame);
        }
        if bytes.len() as u64 != opened.total {
            return Err(Fault::Passing(format!("it ended at byte {}, expected {}", bytes.len(), opened.total)));
        }
        Ok((bytes, opened.etag.unwrap_or_default()))
    }

    async fn get(&self, range: Option<Range<u64>>, etag: Option<&str>) -> Result<Opened, Fault> {
        let header = range.as_ref().map(|range| format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        let request = self.client.get_object().bucket(&self.place.bucket).key(&self.key);
        let answer = request.set_range(header).set_if_match(etag.map(str::to_owned)).send().await;
        match answer {
            Ok(answer) => opened(answer),
            Err(error) if status(&error) == Some(416) && range.is_some_and(|range| range.start == 0) => Ok(empty()),
            Err(error) => Err(self.place.fault(&self.key, &error)),
        }
    }
}

impl Source for Object {
    fn read(&self, range: Range<u64>, etag: Option<&str>) -> Reading {
        let (object, etag) = (self.clone(), etag.map(str::to_owned));
        Box::pin(async move { object.get(Some(range), etag.as_deref()).await })
    }
}

/// What an answer brings, by its headers.
fn opened(answer: GetObjectOutput) -> Result<Opened, Fault> {
    let length = answer.content_length().and_then(|length| u64::try_from(length).ok());
    let (start, total) = match (answer.content_range(), length) {
        (Some(range), _) => {
            content_range(range).ok_or_else(|| Fault::Passing(format!("its range makes no sense: {range:?}")))?
        }
        (None, Some(length)) => (0, length),
        (None, None) => return Err(Fault::Passing("it does not say how long it is".to_owned())),
    };
    Ok(Opened { start, total, etag: answer.e_tag().map(str::to_owned), body: answer.body })
}

/// The start of a range, and the size of the object it is of: `bytes START-END/SIZE`.
fn content_range(text: &str) -> Option<(u64, u64)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end, total) = (start.parse().ok()?, end.parse::<u64>().ok()?, total.parse().ok()?);
    (start <= end && end < total).then_some((start, total))
}

/// An object without bytes has no range that could be asked for.
fn empty() -> Opened {
    Opened { start: 0, total: 0, etag: None, body: ByteStream::from_static(b"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_tells_its_start_and_the_size_of_the_object() {
        assert_eq!(content_range("bytes 0-9/100"), Some((0, 100)));
        assert_eq!(content_range("bytes 90-99/100"), Some((90, 100)));
        for text in ["", "bytes", "bytes */100", "bytes 0-9/*", "bytes 9-0/100", "bytes 0-100/100", "items 0-9/100"] {
            assert_eq!(content_range(text), None, "{text:?}");
        }
    }
}
