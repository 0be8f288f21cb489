//! How AWS is reached, and what speaks its protocols: TLS by ring, certificates from one bundle, credentials, timeouts.

mod trust;

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls;

pub use trust::roots;

/// How long a connection may take to come about.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the client of a service is built from, with ring for TLS: the alternative costs 40 ms of a cold start.
///
/// `endpoint` is the service's, where it is not AWS's own.
///
/// # Errors
/// Certificates that can't be used, in words.
pub(crate) async fn config(endpoint: Option<&str>) -> Result<SdkConfig, String> {
    let http = || aws_smithy_http_client::Builder::new();
    let without_tls = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    let mut https = http().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring));
    if !without_tls {
        https = https.tls_context(trust::context()?);
    }
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(FIRST_BYTE_TIMEOUT).build();
    let defaults = aws_config::defaults(BehaviorVersion::latest());
    let mut loader = defaults.http_client(https.build_https()).timeout_config(timeouts);
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
        let has_region = ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().any(|name| std::env::var_os(name).is_some());
        if !has_region {
            loader = loader.region(Region::from_static("us-east-1"));
        }
    }
    let config = loader.load().await;
    if without_tls {
        // No root certificates are loaded then; credentials may still come over the other client.
        return Ok(config.into_builder().http_client(http().build_http()).build());
    }
    Ok(config)
}

/// Why a request failed, in words: what the service says, or else the error and all that caused it.
pub(crate) fn reason<E>(error: &SdkError<E>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), message) => format!("{code}: {}", message.unwrap_or("no message")),
        _ => {
            let causes = std::iter::successors(Some(error as &dyn std::error::Error), |cause| cause.source());
            let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
            texts.dedup();
            texts.join(": ")
        }
    }
}

/// The HTTP status that a request failed with, where there was an answer.
pub(crate) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}
