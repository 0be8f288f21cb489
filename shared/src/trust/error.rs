//! Why a package is not trusted, or can't be decrypted.

use super::container::{KeyName, VERSION};
use super::secret::KeyError;

/// Why a package is not trusted, or can't be decrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum TrustError {
    #[error("it is not signed: expected a signature by {trusted}; sign it with `emberlite sign` and push it again")]
    Unsigned { trusted: String },
    #[error("it is signed by {signers}, which is not trusted: expected a signature by {trusted}")]
    UnknownSigner { signers: String, trusted: String },
    #[error("it is not encrypted, and only encrypted packages are taken: pack it with --encrypt and push it again")]
    NotEncrypted,
    #[error("it is encrypted with {key}, and there is no key to decrypt it: EMBER_PACKAGE_KEY is not set")]
    NoKey { key: KeyName },
    #[error("it is encrypted with {key}: expected {known}, the key that is set")]
    WrongKey { key: KeyName, known: String },
    #[error("its own key, which {key} wraps, is damaged")]
    WrappedKey { key: KeyName },
    #[error("the header of the encrypted package is damaged: {0}")]
    Container(&'static str),
    #[error(
        "it is encrypted in version {found} of the container; this build reads version {VERSION}: update Emberlite"
    )]
    Version { found: u32 },
    #[error("chunk {chunk} of {chunks} of the encrypted package is damaged, or not in its place")]
    Chunk { chunk: usize, chunks: usize },
    #[error("KMS does not let {key} be used for it: {reason}")]
    KmsRefused { key: KeyName, reason: String },
    #[error("KMS, which has the key to it, can't be reached: {reason}")]
    KmsUnreachable { reason: String },
    #[error("the key can't be used: {0}")]
    Key(#[from] KeyError),
}

impl TrustError {
    /// Whether another attempt would end the same.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::KmsRefused { .. } | Self::KmsUnreachable { .. })
    }
}
