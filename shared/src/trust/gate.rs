//! The way from the bytes in a store to a package: decrypted, and refused where it is not as it has to be.

use super::cipher::Cipher;
use super::container::{Container, Keeper, KeyName, Sealed, is_container};
use super::error::TrustError;
use super::kms::Kms;
use super::package_key::KeySource;
use super::requirements::Requirements;
use super::secret::Secret;
use crate::model::{Digest, Hashed, ModelName, Package, PackageError};
use crate::telemetry::cold_start::{Step, Timeline};

/// What every package passes before it is used.
#[derive(Debug)]
pub struct Gate {
    requirements: Requirements,
    kms: Kms,
}

/// An encrypted package whose key is known.
#[derive(Debug)]
pub struct Unlocked {
    container: Container,
    cipher: Cipher,
}

/// A package that passed.
#[derive(Debug)]
pub struct Opened {
    /// The package, its digest being that of the file.
    pub package: Package,
    /// Of one that was encrypted: its clear header.
    pub container: Option<Container>,
    pub(crate) sealed: Option<Sealed>,
}

/// Why a package does not pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum OpenError {
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl Gate {
    /// Nothing is contacted before a package's key has to be unwrapped.
    pub fn new(requirements: Requirements) -> Self {
        let kms = Kms::new(requirements.kms_endpoint.clone());
        Self { requirements, kms }
    }

    /// What is wanted.
    pub fn requirements(&self) -> &Requirements {
        &self.requirements
    }

    /// Finds the key of a package that is encrypted; `None` for one that is not.
    ///
    /// # Errors
    /// One that is not encrypted where that is wanted, or that has another digest than `expected`, or no key for it.
    pub async fn unlock(&self, file: &Hashed, expected: &Digest) -> Result<Option<Unlocked>, OpenError> {
        if !is_container(file.bytes()) {
            // What is none of both is for the reader of the package to say.
            let is_refused = self.requirements.encryption && file.digest() == expected;
            return if is_refused { Err(TrustError::NotEncrypted.into()) } else { Ok(None) };
        }
        if file.digest() != expected {
            return Err(PackageError::Digest { expected: *expected, got: *file.digest() }.into());
        }
        let container = Container::read(file.bytes())?;
        let key = self.key_of(&container).await?;
        let cipher = container.cipher(&key)?;
        Ok(Some(Unlocked { container, cipher }))
    }

    async fn key_of(&self, container: &Container) -> Result<Secret, TrustError> {
        let name = container.key();
        if self.requirements.keys.is_empty() {
            return Err(TrustError::NoKey { key: name.clone() });
        }
        let wrapped = container.wrapped()?;
        let mut refused = TrustError::WrongKey { key: name.clone(), known: self.requirements.known_keys() };
        for source in &self.requirements.keys {
            match (source, name) {
                (KeySource::Own(key), KeyName::Own(id)) if key.id() == *id => {
                    return key.unwrap(&wrapped).ok_or_else(|| TrustError::WrappedKey { key: name.clone() });
                }
                (KeySource::Kms(key), KeyName::Kms(_)) => {
                    match self.kms.unwrap(key, wrapped.clone(), container.model()).await {
                        Ok(key) => return Ok(key),
                        Err(error) => refused = error,
                    }
                }
                _ => {}
            }
        }
        Err(refused)
    }

    /// Opens the package with this digest, `unlocked` being what [`Gate::unlock`] answered for it. Takes a thread's time: it
    /// decrypts, and where a signature is wanted hashes every section.
    ///
    /// # Errors
    /// A package that is damaged, another than `expected`, or not signed as is wanted.
    pub fn open(
        &self,
        file: Hashed,
        expected: &Digest,
        unlocked: Option<Unlocked>,
        timeline: &Timeline,
    ) -> Result<Opened, OpenError> {
        let Some(Unlocked { container, cipher }) = unlocked else {
            return timeline.measure(Step::Digest, || {
                let package = Package::open_hashed(file, expected)?;
                self.requirements.admit(&package)?;
                Ok(Opened { package, container: None, sealed: None })
            });
        };
        let digest = *file.digest();
        let decrypted = timeline.measure(Step::Decrypt, || container.open(file.into_bytes(), digest, cipher));
        let (bytes, sealed) = decrypted?;
        timeline.measure(Step::Digest, || {
            let package = Package::open_decrypted(bytes, digest)?;
            if package.manifest().name != *container.model() {
                return Err(TrustError::Container("it names another model than the package").into());
            }
            self.requirements.admit(&package)?;
            Ok(Opened { package, container: Some(container), sealed })
        })
    }

    /// A new key for a package of this model, which `source` wraps.
    ///
    /// # Errors
    /// A system without random numbers, or a KMS that refuses or can't be reached.
    pub async fn new_key(&self, source: &KeySource, model: &ModelName) -> Result<Keeper, TrustError> {
        match source {
            KeySource::Own(key) => Ok(Keeper::of(key)?),
            KeySource::Kms(key) => self.kms.new_key(key, model).await,
        }
    }
}
