//! What a function wants of the packages that it loads.

use super::container::KeyName;
use super::error::TrustError;
use super::package_key::KeySource;
use super::signature::PublicKey;
use super::trusted_key::{TrustedKey, TrustedKeys};
use crate::model::Package;

/// What is wanted of packages, and the keys to read them with. By default nothing is.
#[derive(Clone, Debug, Default)]
pub struct Requirements {
    /// The keys whose signatures count.
    pub trusted: TrustedKeys,
    /// Whether a package has to be signed with one of them.
    pub signature: bool,
    /// Whether a package has to be encrypted.
    pub encryption: bool,
    /// The keys that packages are decrypted with: several while one takes the place of another.
    pub keys: Vec<KeySource>,
    /// The endpoint of KMS, where it is not AWS's own.
    pub kms_endpoint: Option<String>,
}

/// What the signatures of a package are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is signed with a key that is trusted.
    Trusted(TrustedKey),
    /// It is signed, and with none of the trusted keys.
    Unknown(Vec<PublicKey>),
    /// Nobody signed it.
    Unsigned,
}

impl Requirements {
    /// What the signatures of a package are worth by these keys. That they are of the package's manifest was checked when
    /// it was opened; that its sections are those of the manifest is for [`Package::check_sections`].
    pub fn standing(&self, package: &Package) -> Standing {
        let signers: Vec<_> = package.signatures().iter().map(|signature| signature.key).collect();
        match signers.iter().find_map(|key| self.trusted.find(key)) {
            Some(trusted) => Standing::Trusted(trusted.clone()),
            None if signers.is_empty() => Standing::Unsigned,
            None => Standing::Unknown(signers),
        }
    }

    /// Whether a package is signed as is wanted, each section included.
    pub(super) fn admit(&self, package: &Package) -> Result<(), super::OpenError> {
        if !self.signature {
            return Ok(());
        }
        let trusted = self.trusted.to_string();
        match self.standing(package) {
            Standing::Trusted(_) => Ok(package.check_sections()?),
            Standing::Unsigned => Err(TrustError::Unsigned { trusted }.into()),
            Standing::Unknown(signers) => {
                let signers = signers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                Err(TrustError::UnknownSigner { signers, trusted }.into())
            }
        }
    }

    /// The names of the keys that packages are decrypted with.
    pub(super) fn known_keys(&self) -> String {
        let names = self.keys.iter().map(|key| match key {
            KeySource::Own(key) => KeyName::Own(key.id()).to_string(),
            KeySource::Kms(key) => KeyName::Kms(key.clone()).to_string(),
        });
        names.collect::<Vec<_>>().join(", ")
    }
}
