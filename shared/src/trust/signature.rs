//! Signatures of packages: ed25519 over the digest of the manifest, from which every byte of a package follows.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::secret::{KeyError, Secret};
use crate::model::Digest;

/// What is signed begins with this, so that no signature of anything else is one of a package.
const DOMAIN: &[u8] = b"emberlite package signature 1\n";

/// The public half of a signing key, written in base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

/// The key that packages are signed with.
#[derive(Debug)]
pub struct SigningKey(Secret);

/// A signature of a package, and the key that checks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The public key of who signed.
    pub key: PublicKey,
    signature: SignatureBytes,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct SignatureBytes([u8; 64]);

/// A text that is no public key or no signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: expected the base64 of {bytes} bytes")]
pub struct SignatureError {
    what: &'static str,
    bytes: usize,
    text: String,
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// A system without random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        Secret::random().map(Self)
    }

    /// Reads the text of a key's file.
    ///
    /// # Errors
    /// A text without a key, or with one of another kind.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Secret::parse(text, Secret::SIGNING).map(Self)
    }

    /// The line that a key's file holds.
    pub fn to_text(&self) -> Zeroizing<String> {
        self.0.to_text(Secret::SIGNING)
    }

    /// The public half.
    ///
    /// # Errors
    /// A key that makes no pair, which no 32 bytes do.
    pub fn public(&self) -> Result<PublicKey, KeyError> {
        let public = self.pair()?.public_key().as_ref().try_into().map(PublicKey);
        public.map_err(|_| KeyError::Malformed { prefix: Secret::SIGNING })
    }

    /// Signs the package whose manifest has this digest.
    ///
    /// # Errors
    /// As [`SigningKey::public`].
    pub fn sign(&self, manifest: &Digest) -> Result<Signature, KeyError> {
        let signed = self.pair()?.sign(&message(manifest));
        let bytes = signed.as_ref().try_into().map(SignatureBytes);
        let signature = bytes.map_err(|_| KeyError::Malformed { prefix: Secret::SIGNING })?;
        Ok(Signature { key: self.public()?, signature })
    }

    fn pair(&self) -> Result<Ed25519KeyPair, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(self.0.bytes());
        pair.map_err(|_| KeyError::Malformed { prefix: Secret::SIGNING })
    }
}

impl Signature {
    /// Whether it is one of the package whose manifest has this digest, by its own key.
    pub(crate) fn is_of(&self, manifest: &Digest) -> bool {
        UnparsedPublicKey::new(&ED25519, self.key.0).verify(&message(manifest), &self.signature.0).is_ok()
    }
}

fn message(manifest: &Digest) -> Vec<u8> {
    [DOMAIN, manifest.as_bytes()].concat()
}

/// The bytes of a base64 text, which has only one spelling.
fn decode<const N: usize>(text: &str, what: &'static str) -> Result<[u8; N], SignatureError> {
    let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| SignatureError { what, bytes: N, text: text.chars().take(100).collect() })
}

impl FromStr for PublicKey {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        decode(text, "public key").map(Self)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl TryFrom<String> for PublicKey {
    type Error = SignatureError;

    fn try_from(text: String) -> Result<Self, SignatureError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for SignatureBytes {
    type Error = SignatureError;

    fn try_from(text: String) -> Result<Self, SignatureError> {
        decode(&text, "signature").map(Self)
    }
}

impl From<SignatureBytes> for String {
    fn from(signature: SignatureBytes) -> Self {
        STANDARD.encode(signature.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first test of RFC 8032, section 7.1, has this key.
    #[test]
    fn a_seed_has_the_public_key_that_rfc_8032_says() {
        let key = SigningKey::parse("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=").unwrap();
        assert_eq!(key.public().unwrap().to_string(), "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    }

    #[test]
    fn a_signature_is_of_one_manifest_and_by_one_key() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let (manifest, another) = (Digest::of(b"one"), Digest::of(b"another"));
        let signature = key.sign(&manifest).unwrap();
        assert!(signature.is_of(&manifest) && !signature.is_of(&another));
        let stolen = Signature { key: other.public().unwrap(), ..signature.clone() };
        assert!(!stolen.is_of(&manifest));
        assert_eq!(key.sign(&manifest).unwrap(), signature, "signing again changes nothing");
    }

    #[test]
    fn a_signature_of_the_bare_digest_is_none_of_a_package() {
        let key = SigningKey::generate().unwrap();
        let manifest = Digest::of(b"manifest");
        let bare = key.pair().unwrap().sign(manifest.as_bytes());
        let signature = SignatureBytes(bare.as_ref().try_into().unwrap());
        assert!(!Signature { key: key.public().unwrap(), signature }.is_of(&manifest));
    }
}
