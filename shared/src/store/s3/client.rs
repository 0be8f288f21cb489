//! The S3 client: one pool of connections, TLS by ring, certificates from one bundle.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_smithy_http_client::tls;

use crate::store::{S3Settings, trust};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(5);

/// The client in two forms that share their connections.
#[derive(Debug)]
pub(super) struct Clients {
    /// For writing: tries again by itself.
    pub(super) trying_again: Client,
    /// For reading and listing: what is tried again, and when, is decided by who reads.
    pub(super) reading: Client,
}

impl Clients {
    /// Builds the client with ring for TLS: the alternative costs 40 ms of a cold start.
    ///
    /// # Errors
    /// Certificates that can't be used, in words.
    pub(super) async fn build(settings: &S3Settings) -> Result<Self, String> {
        let http = || aws_smithy_http_client::Builder::new();
        let without_tls = settings.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let mut https = http().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring));
        if !without_tls {
            https = https.tls_context(trust::context()?);
        }
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(FIRST_BYTE_TIMEOUT).build();
        let defaults = aws_config::defaults(BehaviorVersion::latest());
        let mut loader = defaults.http_client(https.build_https()).timeout_config(timeouts);
        if let Some(endpoint) = &settings.endpoint {
            loader = loader.endpoint_url(endpoint);
            let has_region = ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().any(|name| std::env::var_os(name).is_some());
            if !has_region {
                loader = loader.region(Region::from_static("us-east-1"));
            }
        }
        let path_style = settings.path_style.unwrap_or(settings.endpoint.is_some());
        let mut config = aws_sdk_s3::config::Builder::from(&loader.load().await);
        if without_tls {
            // No root certificates are loaded then; credentials may still come over the other client.
            config = config.http_client(http().build_http());
        }
        let config = config
            .force_path_style(path_style)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        let silence = settings.patience.silence;
        let reading = config
            .clone()
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT.min(silence)).build());
        Ok(Self { trying_again: Client::from_conf(config.build()), reading: Client::from_conf(reading.build()) })
    }
}
