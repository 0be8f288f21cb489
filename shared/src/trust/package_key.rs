//! The keys that packages are encrypted with: each package has one of its own, which the user's key wraps.

use std::str::FromStr;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use super::secret::{KeyError, Secret};

/// What the wrapped key of a package is bound to.
const DOMAIN: &[u8] = b"emberlite wrapped package key 1\n";
/// What a key's name is derived by.
const NAME_CONTEXT: &str = "emberlite 2026-11 name of a package key";

/// A key of the user's that wraps those of packages.
#[derive(Clone, Debug)]
pub struct PackageKey(Secret);

/// Who unwraps the keys of packages.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// A key that this process has.
    Own(PackageKey),
    /// A key of AWS KMS, by its id, ARN or alias.
    Kms(String),
}

impl PackageKey {
    /// A new key.
    ///
    /// # Errors
    /// A system without random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        Secret::random().map(Self)
    }

    /// Reads the text of a key's file, or the base64 of 32 bytes.
    ///
    /// # Errors
    /// A text without a key, or with one of another kind.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Secret::parse(text, Secret::PACKAGE).map(Self)
    }

    /// The line that a key's file holds.
    pub fn to_text(&self) -> Zeroizing<String> {
        self.0.to_text(Secret::PACKAGE)
    }

    /// What the key is called in packages: 16 hexadecimal digits that tell nothing else of it.
    pub fn id(&self) -> String {
        let derived = blake3::Hash::from_bytes(blake3::derive_key(NAME_CONTEXT, self.0.bytes()));
        derived.to_hex()[..16].to_owned()
    }

    /// Encrypts the key of a package: a nonce, the key, its tag.
    pub(super) fn wrap(&self, key: &Secret) -> Result<Vec<u8>, KeyError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| KeyError::Random)?;
        let mut bytes = Zeroizing::new(*key.bytes());
        let cipher = self.cipher().ok_or(KeyError::Random)?;
        let tag = cipher
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(DOMAIN), &mut *bytes)
            .map_err(|_| KeyError::Random)?;
        Ok([&nonce, &bytes[..], tag.as_ref()].concat())
    }

    /// Decrypts the key of a package; `None` where it is damaged or wrapped by another key.
    pub(super) fn unwrap(&self, wrapped: &[u8]) -> Option<Secret> {
        let (nonce, sealed) = wrapped.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        Secret::from_slice(self.cipher()?.open_in_place(nonce, Aad::from(DOMAIN), &mut sealed).ok()?)
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, self.0.bytes()).ok().map(LessSafeKey::new)
    }
}

impl FromStr for KeySource {
    type Err = KeyError;

    /// Reads `kms:KEY`, or a key itself.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        match text.strip_prefix("kms:").map(str::trim) {
            Some(key) if !key.is_empty() => Ok(Self::Kms(key.to_owned())),
            _ => PackageKey::parse(text).map(Self::Own),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_is_unwrapped_by_its_own_key_alone() {
        let (key, other) = (PackageKey::generate().unwrap(), PackageKey::generate().unwrap());
        let secret = Secret::random().unwrap();
        let wrapped = key.wrap(&secret).unwrap();
        assert_eq!(key.unwrap(&wrapped).unwrap().bytes(), secret.bytes());
        assert!(other.unwrap(&wrapped).is_none());
        assert_ne!(key.wrap(&secret).unwrap(), wrapped, "no nonce comes twice");
        for place in 0..wrapped.len() {
            let mut damaged = wrapped.clone();
            damaged[place] ^= 1;
            assert!(key.unwrap(&damaged).is_none() && key.unwrap(&wrapped[..place]).is_none());
        }
    }

    #[test]
    fn a_key_has_one_name_and_another_key_another() {
        let key = PackageKey::generate().unwrap();
        let again = PackageKey::parse(&key.to_text()).unwrap();
        assert_eq!((again.id(), key.id().len()), (key.id(), 16));
        assert_ne!(PackageKey::generate().unwrap().id(), key.id());
    }

    #[test]
    fn a_source_is_a_key_or_one_of_kms() {
        assert!(matches!("kms:alias/ember".parse(), Ok(KeySource::Kms(key)) if key == "alias/ember"));
        assert!(matches!(PackageKey::generate().unwrap().to_text().parse(), Ok(KeySource::Own(_))));
        for text in ["", "kms:", "alias/ember"] {
            assert!(text.parse::<KeySource>().is_err(), "{text:?}");
        }
    }
}
