//! A store in a bucket: AWS S3, or anything that speaks its protocol. The client is built on first use.

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_http_client::tls;
use tokio::sync::OnceCell;

use std::time::Duration;

use super::{Location, S3Settings, StoreError};
use crate::model::{ModelName, PackageBytes};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct S3Store {
    bucket: String,
    prefix: String,
    settings: S3Settings,
    client: OnceCell<Client>,
}

impl S3Store {
    pub(super) fn new(bucket: String, prefix: String, settings: S3Settings) -> Self {
        Self { bucket, prefix, settings, client: OnceCell::new() }
    }

    /// A pointer's bytes and its ETag.
    pub(super) async fn read_pointer(&self, key: &str) -> Result<Option<(Vec<u8>, String)>, StoreError> {
        let Some((bytes, etag)) = self.get(key).await? else { return Ok(None) };
        Ok(Some((bytes.to_vec(), etag)))
    }

    pub(super) async fn read_package(&self, key: &str) -> Result<Option<PackageBytes>, StoreError> {
        Ok(self.get(key).await?.map(|(bytes, _)| bytes.into()))
    }

    pub(super) async fn list(&self) -> Result<Vec<ModelName>, StoreError> {
        let folder = format!("{}models/", self.prefix);
        let mut pages = self
            .client()
            .await
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(&folder)
            .delimiter("/")
            .into_paginator()
            .send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.error(&folder, &error))?;
            let found = page.common_prefixes().iter().filter_map(|prefix| prefix.prefix());
            names.extend(found.filter_map(|name| name.strip_prefix(&folder)?.trim_end_matches('/').parse().ok()));
        }
        Ok(names)
    }

    pub(super) async fn write_package(&self, key: &str, bytes: PackageBytes) -> Result<(), StoreError> {
        let body = ByteStream::new(SdkBody::from(bytes.to_vec()));
        let request = self.client().await.put_object().bucket(&self.bucket).key(self.key(key)).body(body);
        request.send().await.map(drop).map_err(|error| self.error(key, &error))
    }

    /// Replaces the pointer if its ETag still is `expected`, `None` meaning that there is none; answers whether it was.
    pub(super) async fn swing_pointer(
        &self,
        key: &str,
        pointer: Vec<u8>,
        expected: Option<&str>,
    ) -> Result<bool, StoreError> {
        let request = self.client().await.put_object().bucket(&self.bucket).key(self.key(key));
        let request = request.content_type("application/json").cache_control("no-cache").body(pointer.into());
        let request = match expected {
            Some(etag) => request.if_match(etag),
            None => request.if_none_match("*"),
        };
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if matches!(status(&error), Some(409 | 412)) => Ok(false),
            Err(error) => Err(self.error(key, &error)),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<(bytes::Bytes, String)>, StoreError> {
        let request = self.client().await.get_object().bucket(&self.bucket).key(self.key(key));
        let object = match request.send().await {
            Ok(object) => object,
            Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(self.error(key, &error)),
        };
        let etag = object.e_tag().unwrap_or_default().to_owned();
        let body = object.body.collect().await.map_err(|error| StoreError::Unreachable {
            store: self.describe(),
            reason: format!("{key} broke off: {error}"),
        })?;
        Ok(Some((body.into_bytes(), etag)))
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| build_client(&self.settings)).await
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn describe(&self) -> String {
        let Self { bucket, prefix, settings, .. } = self;
        Location::S3 { bucket: bucket.clone(), prefix: prefix.clone(), settings: settings.clone() }.to_string()
    }

    fn error<E>(&self, key: &str, error: &SdkError<E>) -> StoreError
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let store = self.describe();
        let reason = match (error.code(), error.message()) {
            (Some(code), message) => format!("{code}: {}", message.unwrap_or("no message")),
            _ => DisplayErrorContext(error).to_string(),
        };
        if error.code() == Some("NoSuchBucket") {
            return StoreError::MissingBucket { store, bucket: self.bucket.clone() };
        }
        match status(error) {
            Some(401 | 403) => StoreError::Denied { store, key: self.key(key), reason },
            _ => StoreError::Unreachable { store, reason },
        }
    }
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Builds the client with ring for TLS: the alternative costs 40 ms of a cold start.
async fn build_client(settings: &S3Settings) -> Client {
    let http = || aws_smithy_http_client::Builder::new();
    let https = http().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(FIRST_BYTE_TIMEOUT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(https).timeout_config(timeouts);
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint);
        let has_region = ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().any(|name| std::env::var_os(name).is_some());
        if !has_region {
            loader = loader.region(Region::from_static("us-east-1"));
        }
    }
    let path_style = settings.path_style.unwrap_or(settings.endpoint.is_some());
    let mut config = aws_sdk_s3::config::Builder::from(&loader.load().await);
    if settings.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://")) {
        // Without TLS no root certificates are loaded; credentials may still come over the other client.
        config = config.http_client(http().build_http());
    }
    let config = config
        .force_path_style(path_style)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Client::from_conf(config)
}
