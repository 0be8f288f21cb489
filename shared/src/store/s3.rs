//! A store in a bucket: AWS S3, or anything that speaks its protocol. The client is built on first use.

mod client;
mod object;

use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use tokio::sync::OnceCell;

use client::Clients;
use object::Object;

use super::download;
use super::fault::{Fault, hedged, retry};
use super::{Location, S3Settings, StoreError};
use crate::aws::{reason, status};
use crate::model::{Digest, Hashed, ModelName, PackageBytes};
use crate::telemetry::cold_start::Timeline;

/// The longest pointer that is read: it holds a digest.
const LONGEST_POINTER: u64 = 64 * 1024;

#[derive(Debug)]
pub(super) struct S3Store {
    place: Arc<Place>,
    clients: OnceCell<Clients>,
}

/// Where the keys of a store are.
#[derive(Debug)]
struct Place {
    bucket: String,
    prefix: String,
    settings: S3Settings,
}

impl S3Store {
    pub(super) fn new(bucket: String, prefix: String, settings: S3Settings) -> Self {
        Self { place: Arc::new(Place { bucket, prefix, settings }), clients: OnceCell::new() }
    }

    /// A pointer's bytes and its ETag.
    pub(super) async fn read_pointer(&self, key: &str) -> Result<Option<(Vec<u8>, String)>, StoreError> {
        let object = self.object(key).await?;
        let patience = &self.place.settings.patience;
        let pointer = retry(patience, || hedged(patience, || object.whole(LONGEST_POINTER, patience.silence))).await;
        self.place.found(key, pointer)
    }

    /// Builds the client.
    pub(super) async fn connect(&self) -> Result<(), StoreError> {
        self.clients().await.map(drop)
    }

    pub(super) async fn read_package(
        &self,
        key: &str,
        digest: &Digest,
        timeline: &Timeline,
    ) -> Result<Option<Hashed>, StoreError> {
        let object = Arc::new(self.object(key).await?);
        let package = download::download(object, self.place.settings.patience, digest, timeline).await;
        self.place.found(key, package)
    }

    async fn object(&self, key: &str) -> Result<Object, StoreError> {
        let client = self.clients().await?.reading.clone();
        Ok(Object::new(client, Arc::clone(&self.place), self.place.key(key)))
    }

    pub(super) async fn list(&self) -> Result<Vec<ModelName>, StoreError> {
        let folder = format!("{}models/", self.place.prefix);
        let client = &self.clients().await?.reading;
        let (mut names, mut next) = (Vec::new(), None);
        loop {
            let request = client.list_objects_v2().bucket(&self.place.bucket).prefix(&folder).delimiter("/");
            let request = request.set_continuation_token(next);
            let patience = &self.place.settings.patience;
            let page = || async { request.clone().send().await.map_err(|error| self.place.fault(&folder, &error)) };
            let page = self.place.found("models/", retry(patience, || hedged(patience, page)).await)?;
            let Some(page) = page else { return Ok(names) };
            let found = page.common_prefixes().iter().filter_map(|prefix| prefix.prefix());
            names.extend(found.filter_map(|name| name.strip_prefix(&folder)?.trim_end_matches('/').parse().ok()));
            next = page.next_continuation_token;
            if next.is_none() {
                return Ok(names);
            }
        }
    }

    pub(super) async fn write_package(&self, key: &str, bytes: PackageBytes) -> Result<(), StoreError> {
        let body = ByteStream::new(SdkBody::from(bytes.to_vec()));
        let key = self.place.key(key);
        let request = self.client().await?.put_object().bucket(&self.place.bucket).key(&key).body(body);
        request.send().await.map(drop).map_err(|error| self.place.error(&key, &error))
    }

    /// Replaces the pointer if its ETag still is `expected`, `None` meaning that there is none; answers whether it was.
    pub(super) async fn swing_pointer(
        &self,
        key: &str,
        pointer: Vec<u8>,
        expected: Option<&str>,
    ) -> Result<bool, StoreError> {
        let key = self.place.key(key);
        let request = self.client().await?.put_object().bucket(&self.place.bucket).key(&key);
        let request = request.content_type("application/json").cache_control("no-cache").body(pointer.into());
        let request = match expected {
            Some(etag) => request.if_match(etag),
            None => request.if_none_match("*"),
        };
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if matches!(status(&error), Some(409 | 412)) => Ok(false),
            Err(error) => Err(self.place.error(&key, &error)),
        }
    }

    /// The object of this key, of at most `longest` bytes.
    pub(super) async fn read_object(&self, key: &str, longest: u64) -> Result<Vec<u8>, StoreError> {
        let object = self.object(key).await?;
        let patience = &self.place.settings.patience;
        let found = retry(patience, || object.whole(longest, patience.silence)).await;
        if let Err(Fault::TooLarge { bytes, longest }) = found {
            return Err(StoreError::ObjectTooLarge { object: self.place.url(key), bytes, longest });
        }
        match self.place.found(key, found)? {
            Some((bytes, _)) => Ok(bytes),
            None => Err(StoreError::MissingObject { object: self.place.url(key) }),
        }
    }

    /// Writes an object unless there is one; answers whether it was written. Where somebody else writes it just now, it is
    /// tried again until that is done.
    pub(super) async fn write_new(&self, key: &str, content_type: &str, bytes: Bytes) -> Result<bool, StoreError> {
        let client = self.client().await?;
        let whole = self.place.key(key);
        let write = || async {
            let request = client.put_object().bucket(&self.place.bucket).key(&whole).content_type(content_type);
            match request.if_none_match("*").body(SdkBody::from(bytes.clone()).into()).send().await {
                Ok(_) => Ok(true),
                Err(error) if status(&error) == Some(412) => Ok(false),
                Err(error) if status(&error) == Some(409) => Err(Fault::Passing(reason(&error))),
                Err(error) => Err(Fault::Final(self.place.error(&whole, &error))),
            }
        };
        let written = retry(&self.place.settings.patience, write).await;
        self.place.found(key, written).map(|written| written.unwrap_or(false))
    }

    async fn client(&self) -> Result<&Client, StoreError> {
        Ok(&self.clients().await?.trying_again)
    }

    async fn clients(&self) -> Result<&Clients, StoreError> {
        let settings = &self.place.settings;
        let built = self.clients.get_or_try_init(|| Clients::build(settings)).await;
        built.map_err(|reason| StoreError::Unreachable { store: self.place.describe(), reason })
    }
}

impl Place {
    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn url(&self, key: &str) -> String {
        format!("s3://{}/{}", self.bucket, self.key(key))
    }

    fn describe(&self) -> String {
        let Self { bucket, prefix, settings } = self;
        Location::S3 { bucket: bucket.clone(), prefix: prefix.clone(), settings: settings.clone() }.to_string()
    }

    /// What a read came to: `None` where there is no such object.
    fn found<T>(&self, key: &str, outcome: Result<T, Fault>) -> Result<Option<T>, StoreError> {
        match outcome {
            Ok(found) => Ok(Some(found)),
            Err(Fault::Missing) => Ok(None),
            Err(Fault::Final(error)) => Err(error),
            Err(fault @ (Fault::Passing(_) | Fault::Changed(_) | Fault::TooLarge { .. })) => {
                Err(StoreError::Unreachable { store: self.describe(), reason: format!("{}: {fault}", self.key(key)) })
            }
        }
    }

    /// What is to be done about a read that failed.
    fn fault<E>(&self, key: &str, error: &SdkError<E>) -> Fault
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        match (error.code(), status(error)) {
            (Some("NoSuchBucket"), _) => return Fault::Final(self.error(key, error)),
            (Some("NoSuchKey"), _) | (_, Some(404)) => return Fault::Missing,
            (_, Some(412 | 416)) => return Fault::Changed(reason(error)),
            (Some("SlowDown" | "RequestTimeout" | "InternalError"), _) | (_, Some(408 | 429 | 500..)) => {
                return Fault::Passing(reason(error));
            }
            _ => {}
        }
        match error {
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
                Fault::Passing(reason(error))
            }
            _ => Fault::Final(self.error(key, error)),
        }
    }

    fn error<E>(&self, key: &str, error: &SdkError<E>) -> StoreError
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let store = self.describe();
        let reason = reason(error);
        if error.code() == Some("NoSuchBucket") {
            return StoreError::MissingBucket { store, bucket: self.bucket.clone() };
        }
        match status(error) {
            Some(401 | 403) => StoreError::Denied { store, key: key.to_owned(), reason },
            _ => StoreError::Unreachable { store, reason },
        }
    }
}
