//! The file of an encrypted package: a clear header, a tag for each chunk, and the package itself, as long as before.
//!
//! ```text
//! 0   8 bytes   EMBERENC
//! 8   u32       the version of this layout, little-endian
//! 12  u32       the length of what follows, little-endian
//! 16  JSON      the model's name, the key that wraps the package's own, the wrapped key, the size of chunks and package
//!     16 bytes  for each chunk: its tag
//!     zeros     up to a multiple of 64
//!     bytes     the package, encrypted in its place
//! ```
//!
//! All up to the tags is bound to each chunk. The tags lie apart, so that a package is decrypted where it lies, its
//! sections still at multiples of 64 bytes.

use std::fmt;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::cipher::{BadChunk, Cipher, TAG_BYTES};
use super::error::TrustError;
use super::package_key::PackageKey;
use super::secret::{KeyError, Secret};
use crate::model::{Digest, ModelName, PackageBytes, aligned};

#[cfg(test)]
mod tests;

const MAGIC: &[u8; 8] = b"EMBERENC";
/// The version of the layout.
pub(super) const VERSION: u32 = 1;
/// Where the JSON starts.
const FIXED_BYTES: usize = 16;
const LONGEST_JSON: usize = 64 * 1024;
const ALIGNMENT: usize = 64;
/// The size of chunks: so small that a chunk stays in the cache of a core, so large that tags are nothing.
const CHUNK_BYTES: u32 = 64 * 1024;
const SMALLEST_CHUNK: u32 = 4096;
const LARGEST_CHUNK: u32 = 16 << 20;

/// The clear header of an encrypted package, and where the rest is.
#[derive(Clone, Debug)]
pub struct Container {
    header: Header,
    /// The digest of all before the tags.
    digest: Digest,
    tags: Range<usize>,
    body: Range<usize>,
}

/// What is told in clear.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    model: ModelName,
    key: KeyName,
    /// In base64.
    wrapped: String,
    chunk_bytes: u32,
    package_bytes: u64,
}

/// The key that wraps that of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyName {
    /// A key of the user's, by [`PackageKey::id`].
    Own(String),
    /// A key of AWS KMS, by its ARN.
    Kms(String),
}

/// The key of a new package, and how it is wrapped.
#[derive(Debug)]
pub struct Keeper {
    pub(super) name: KeyName,
    pub(super) wrapped: Vec<u8>,
    pub(super) key: Secret,
}

/// An encrypted package that was decrypted in memory: it can still be written as it was, for the key encrypts nothing else
/// and each chunk's nonce is its place.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    digest: Digest,
    /// All before the body.
    head: Bytes,
    body: PackageBytes,
    chunk_bytes: usize,
    cipher: Cipher,
}

/// Whether these are the bytes of an encrypted package, whole or not.
pub(crate) fn is_container(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

impl Keeper {
    /// A new key for a package, wrapped by one of the user's.
    ///
    /// # Errors
    /// A system without random numbers.
    pub fn of(key: &PackageKey) -> Result<Self, KeyError> {
        let own = Secret::random()?;
        Ok(Self { name: KeyName::Own(key.id()), wrapped: key.wrap(&own)?, key: own })
    }

    /// Encrypts a package.
    ///
    /// # Errors
    /// A package without bytes.
    pub fn seal(&self, model: &ModelName, package: &[u8]) -> Result<Vec<u8>, TrustError> {
        let header = Header {
            model: model.clone(),
            key: self.name.clone(),
            wrapped: STANDARD.encode(&self.wrapped),
            chunk_bytes: CHUNK_BYTES,
            package_bytes: package.len() as u64,
        };
        let damaged = || TrustError::Container("there is nothing to encrypt");
        let mut file = header.to_bytes();
        let digest = Digest::of(&file);
        let tags = file.len();
        let count = package.len().div_ceil(CHUNK_BYTES as usize);
        file.resize((tags + count * TAG_BYTES).next_multiple_of(ALIGNMENT), 0);
        file.reserve_exact(package.len());
        let body = file.len();
        file.extend_from_slice(package);
        let cipher = Cipher::new(&self.key, digest).filter(|_| count > 0).ok_or_else(damaged)?;
        let (head, body) = file.split_at_mut(body);
        let places = head[tags..].chunks_exact_mut(TAG_BYTES);
        for ((index, chunk), tag) in body.chunks_mut(CHUNK_BYTES as usize).enumerate().zip(places) {
            tag.copy_from_slice(&cipher.seal(index, index + 1 == count, chunk).ok_or_else(damaged)?);
        }
        Ok(file)
    }
}

impl Header {
    /// All before the tags.
    fn to_bytes(&self) -> Vec<u8> {
        let json = serde_json::json!(self).to_string();
        let mut bytes = [&MAGIC[..], &VERSION.to_le_bytes(), &(json.len() as u32).to_le_bytes()].concat();
        bytes.extend(json.as_bytes());
        bytes
    }
}

impl Container {
    /// Whether these are the bytes of an encrypted package, whole or not.
    pub fn is_one(file: &[u8]) -> bool {
        is_container(file)
    }

    /// Reads the clear header of an encrypted package and checks all that shows without its key.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(file: &[u8]) -> Result<Self, TrustError> {
        let damaged = TrustError::Container;
        let ends = || damaged("it ends in its header");
        let number = |at: usize| {
            let bytes = file.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u32::from_le_bytes).ok_or_else(ends)
        };
        if !is_container(file) {
            return Err(damaged("it does not begin as one"));
        }
        match number(8)? {
            VERSION => {}
            found => return Err(TrustError::Version { found }),
        }
        let length = number(12)? as usize;
        if length > LONGEST_JSON {
            return Err(damaged("it is too long"));
        }
        let tags = FIXED_BYTES + length;
        let json = file.get(FIXED_BYTES..tags).ok_or_else(ends)?;
        let header: Header = serde_json::from_slice(json).map_err(|_| damaged("it is not the JSON expected"))?;
        let places = header.places(tags).ok_or(damaged("its sizes make no sense"))?;
        let container = Self { header, digest: Digest::of(&file[..tags]), tags: places.0, body: places.1 };
        if file.len() != container.body.end {
            return Err(damaged("the file is not as long as it says"));
        }
        if file[container.tags.end..container.body.start].iter().any(|&byte| byte != 0) {
            return Err(damaged("its padding is not zero"));
        }
        Ok(container)
    }

    /// The name of the model.
    pub fn model(&self) -> &ModelName {
        &self.header.model
    }

    /// The key that wraps the package's own.
    pub fn key(&self) -> &KeyName {
        &self.header.key
    }

    /// The size of the package in it.
    pub fn package_bytes(&self) -> usize {
        self.body.len()
    }

    pub(super) fn wrapped(&self) -> Result<Vec<u8>, TrustError> {
        STANDARD.decode(&self.header.wrapped).map_err(|_| TrustError::Container("its key is no base64"))
    }

    pub(super) fn cipher(&self, key: &Secret) -> Result<Cipher, TrustError> {
        Cipher::new(key, self.digest).ok_or(TrustError::Container("its key is none"))
    }

    /// Decrypts the package: where it lies, if nobody else holds the file's memory, else into memory of its own. What can
    /// be written again is answered, too, unless the file is there anyway.
    pub(super) fn open(
        &self,
        file: PackageBytes,
        digest: Digest,
        cipher: Cipher,
    ) -> Result<(PackageBytes, Option<Sealed>), TrustError> {
        let tags: Vec<[u8; TAG_BYTES]> = file[self.tags.clone()].as_chunks().0.to_vec();
        let chunk_bytes = self.header.chunk_bytes as usize;
        let is_kept = file.is_mapped();
        let (head, mut body, sealed) = match file.into_unique() {
            Ok(mut memory) => {
                let body = memory.split_off(self.body.start);
                (memory.freeze(), body, None)
            }
            Err(file) => (Bytes::copy_from_slice(&file[..self.body.start]), aligned(self.body.len()), Some(file)),
        };
        let source = sealed.as_ref().map(|file| &file[self.body.clone()]);
        cipher
            .open_all(&tags, chunk_bytes, source, &mut body)
            .map_err(|BadChunk(index)| TrustError::Chunk { chunk: index + 1, chunks: tags.len() })?;
        let body = PackageBytes::from(body.freeze());
        let sealed = (!is_kept).then(|| Sealed { digest, head, body: body.clone(), chunk_bytes, cipher });
        Ok((body, sealed))
    }
}

impl Header {
    /// Where the tags and the body are, where the tags start at `tags`.
    fn places(&self, tags: usize) -> Option<(Range<usize>, Range<usize>)> {
        let sizes = SMALLEST_CHUNK..=LARGEST_CHUNK;
        if !self.chunk_bytes.is_power_of_two() || !sizes.contains(&self.chunk_bytes) || self.package_bytes == 0 {
            return None;
        }
        let package = usize::try_from(self.package_bytes).ok()?;
        let count = package.div_ceil(self.chunk_bytes as usize);
        let end = tags.checked_add(count.checked_mul(TAG_BYTES)?)?;
        let start = end.checked_next_multiple_of(ALIGNMENT)?;
        Some((tags..end, start..start.checked_add(package)?))
    }
}

impl Sealed {
    /// The digest of the file.
    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The size of the file.
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// The file as it was, piece by piece.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Bytes> {
        let count = self.body.len().div_ceil(self.chunk_bytes);
        let seal = move |(index, chunk): (usize, &[u8])| {
            let mut chunk = chunk.to_vec();
            self.cipher.seal(index, index + 1 == count, &mut chunk).map(|_| chunk.into())
        };
        std::iter::once(self.head.clone()).chain(self.body.chunks(self.chunk_bytes).enumerate().map_while(seal))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(id) => write!(f, "key {id}"),
            Self::Kms(arn) => write!(f, "KMS key {arn}"),
        }
    }
}
