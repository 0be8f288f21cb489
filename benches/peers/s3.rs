//! A stand-in for S3 in this process: GET of the store's objects, whole or in ranges; signatures are not checked.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::stand_in::{Received, Reply, Service, Way, serve};

/// The bucket whose objects are the store's files.
pub(crate) const BUCKET: &str = "packages";

/// The objects of a store, and how long the last client took to get what it wanted.
#[derive(Debug)]
pub(crate) struct S3 {
    objects: HashMap<String, Arc<[u8]>>,
    /// From the first connection since the last look to the last byte of the last answer.
    span: Mutex<Option<(Instant, Instant)>>,
    missed: Arc<[u8]>,
}

/// A running stand-in.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// Its URL.
    pub(crate) url: String,
    service: Arc<S3>,
}

impl Endpoint {
    /// Serves what lies in the folders of these models in the store.
    pub(crate) fn start(store: &Path, models: &[String], way: Way) -> Result<Self> {
        let scheme = if way.identity.is_some() { "https" } else { "http" };
        let mut objects = HashMap::new();
        for model in models {
            let folder = store.join("models").join(model);
            for entry in fs::read_dir(&folder).with_context(|| format!("can't read {}", folder.display()))? {
                let path = entry?.path();
                if let (true, Some(name)) = (path.is_file(), path.file_name().and_then(|name| name.to_str())) {
                    objects.insert(format!("/{BUCKET}/models/{model}/{name}"), fs::read(&path)?.into());
                }
            }
        }
        let missed = "<Error><Code>NoSuchKey</Code><Message>no such object</Message></Error>".as_bytes().into();
        let service = Arc::new(S3 { objects, span: Mutex::new(None), missed });
        let port = serve(Arc::clone(&service), way).context("the S3 stand-in can't listen")?;
        Ok(Self { url: format!("{scheme}://127.0.0.1:{port}"), service })
    }

    /// From the first connection to the last byte sent since this was last asked.
    pub(crate) fn take_span(&self) -> Option<Duration> {
        let span = self.service.span.lock().unwrap_or_else(PoisonError::into_inner).take();
        span.map(|(from, to)| to - from)
    }
}

impl Service for S3 {
    fn reply(&self, request: &Received) -> Option<Reply> {
        let Some(body) = self.objects.get(&request.path).filter(|_| request.method == "GET") else {
            let headers = vec![("Content-Type", "application/xml".to_owned())];
            return Some(Reply::new("404 Not Found", headers, Arc::clone(&self.missed)));
        };
        let headers = vec![
            ("ETag", format!("\"{:032x}\"", body.len())),
            ("Content-Type", "binary/octet-stream".to_owned()),
            ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT".to_owned()),
        ];
        let mut reply = Reply::new("200 OK", headers, Arc::clone(body));
        if let Some(range) = &request.range {
            reply.part = range.start.min(body.len())..range.end.min(body.len());
            let (first, end) = (reply.part.start, reply.part.end);
            let range = format!("bytes {first}-{}/{}", end.saturating_sub(1), body.len());
            reply.headers.push(("Content-Range", range));
            reply.status = "206 Partial Content";
        }
        Some(reply)
    }

    fn replied(&self, request: &Received, at: Instant) {
        let mut span = self.span.lock().unwrap_or_else(PoisonError::into_inner);
        let from = span.map_or(request.connected, |(from, _)| from);
        *span = Some((from, at));
    }
}
