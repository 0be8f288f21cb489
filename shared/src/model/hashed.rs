//! Bytes with the digest that they have: whoever holds them need not hash them again.

mod parts;
mod tree;

pub(crate) use parts::{Part, allocate, assemble};
pub use parts::{PartSize, PartSizeError};
pub(super) use tree::digest;

use super::{Digest, PackageBytes};

/// Bytes with the digest that they have. There is no way to make one without having hashed every byte.
#[derive(Clone, Debug)]
pub struct Hashed {
    bytes: PackageBytes,
    digest: Digest,
}

impl Hashed {
    /// Hashes bytes.
    pub fn of(bytes: PackageBytes) -> Self {
        let digest = tree::digest(&bytes);
        Self { bytes, digest }
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The bytes.
    pub fn bytes(&self) -> &PackageBytes {
        &self.bytes
    }

    /// The bytes, without their digest.
    pub fn into_bytes(self) -> PackageBytes {
        self.bytes
    }
}
