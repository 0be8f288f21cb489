//! The bytes of a package: mapped from a file, or held as they were downloaded.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;

/// The bytes of a package, cheap to clone.
#[derive(Clone, Debug)]
pub struct PackageBytes(Memory);

#[derive(Clone, Debug)]
enum Memory {
    Mapped(Arc<Mmap>),
    Owned(Bytes),
}

impl PackageBytes {
    /// Maps a file. Packages are named by their content and never written in place, which is what keeps a mapping valid.
    #[allow(unsafe_code)]
    pub fn map(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the mapping is private and read-only. The store replaces a package file by renaming a complete one
        // over it, so the inode behind the mapping is neither written nor truncated while it is mapped.
        let mapping = unsafe { Mmap::map(&file) }?;
        Ok(Self(Memory::Mapped(Arc::new(mapping))))
    }
}

impl From<Bytes> for PackageBytes {
    fn from(bytes: Bytes) -> Self {
        Self(Memory::Owned(bytes))
    }
}

impl From<Vec<u8>> for PackageBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Memory::Owned(bytes.into()))
    }
}

impl Deref for PackageBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Memory::Mapped(mapping) => mapping,
            Memory::Owned(bytes) => bytes,
        }
    }
}
