//! The S3 client: one pool of connections for two ways of trying again.

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};

use crate::aws;
use crate::store::S3Settings;

/// The client in two forms that share their connections.
#[derive(Debug)]
pub(super) struct Clients {
    /// For writing: tries again by itself.
    pub(super) trying_again: Client,
    /// For reading and listing: what is tried again, and when, is decided by who reads.
    pub(super) reading: Client,
}

impl Clients {
    /// Builds the client.
    ///
    /// # Errors
    /// Certificates that can't be used, in words.
    pub(super) async fn build(settings: &S3Settings) -> Result<Self, String> {
        let path_style = settings.path_style.unwrap_or(settings.endpoint.is_some());
        let config = aws::config(settings.endpoint.as_deref()).await?;
        let config = aws_sdk_s3::config::Builder::from(&config);
        let config = config
            .force_path_style(path_style)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        let silence = settings.patience.silence;
        let reading = config
            .clone()
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(aws::CONNECT_TIMEOUT.min(silence)).build());
        Ok(Self { trying_again: Client::from_conf(config.build()), reading: Client::from_conf(reading.build()) })
    }
}
