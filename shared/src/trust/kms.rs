//! AWS KMS, which wraps and unwraps the keys of packages without ever handing out its own. The client is built on first use.

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use tokio::sync::OnceCell;

use super::container::{Keeper, KeyName};
use super::error::TrustError;
use super::secret::Secret;
use crate::aws;
use crate::model::ModelName;

/// What a wrapped key is bound to, and a policy can ask for: the model whose package it is.
const CONTEXT: &str = "emberlite:model";

/// KMS at one endpoint.
#[derive(Debug)]
pub(super) struct Kms {
    endpoint: Option<String>,
    client: OnceCell<Client>,
}

impl Kms {
    /// `endpoint` is that of KMS, where it is not AWS's own.
    pub(super) fn new(endpoint: Option<String>) -> Self {
        Self { endpoint, client: OnceCell::new() }
    }

    /// A new key for a package, which a key of KMS wraps.
    pub(super) async fn new_key(&self, key: &str, model: &ModelName) -> Result<Keeper, TrustError> {
        let request = self.client().await?.generate_data_key().key_id(key).key_spec(DataKeySpec::Aes256);
        let answer = request.encryption_context(CONTEXT, model.as_str()).send().await;
        let answer = answer.map_err(|error| failed(KeyName::Kms(key.to_owned()), &error))?;
        let secret =
            answer.plaintext.and_then(|plain| Secret::from_slice(&zeroize::Zeroizing::new(plain.into_inner())));
        let (Some(secret), Some(wrapped)) = (secret, answer.ciphertext_blob) else {
            return Err(TrustError::KmsUnreachable { reason: "its answer has no key".to_owned() });
        };
        let name = KeyName::Kms(answer.key_id.unwrap_or_else(|| key.to_owned()));
        Ok(Keeper { name, wrapped: wrapped.into_inner(), key: secret })
    }

    /// Unwraps a package's key with this key of KMS and no other.
    pub(super) async fn unwrap(&self, key: &str, wrapped: Vec<u8>, model: &ModelName) -> Result<Secret, TrustError> {
        let request = self.client().await?.decrypt().key_id(key).ciphertext_blob(Blob::new(wrapped));
        let answer = request.encryption_context(CONTEXT, model.as_str()).send().await;
        let answer = answer.map_err(|error| failed(KeyName::Kms(key.to_owned()), &error))?;
        let secret =
            answer.plaintext.and_then(|plain| Secret::from_slice(&zeroize::Zeroizing::new(plain.into_inner())));
        secret.ok_or_else(|| TrustError::WrappedKey { key: KeyName::Kms(key.to_owned()) })
    }

    async fn client(&self) -> Result<&Client, TrustError> {
        let build = || async {
            let config = aws::config(self.endpoint.as_deref()).await;
            config.map(|config| Client::new(&config)).map_err(|reason| TrustError::KmsUnreachable { reason })
        };
        self.client.get_or_try_init(build).await
    }
}

/// What was refused is told apart from what may work another time.
fn failed<E>(key: KeyName, error: &SdkError<E>) -> TrustError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let reason = aws::reason(error);
    match aws::status(error) {
        Some(400..=499) if error.code() != Some("ThrottlingException") => TrustError::KmsRefused { key, reason },
        _ => TrustError::KmsUnreachable { reason },
    }
}
