//! The bytes of a package: mapped from a file, or held as they were downloaded.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use memmap2::Mmap;

/// The bytes of a package, cheap to clone.
#[derive(Clone, Debug)]
pub struct PackageBytes(Memory);

#[derive(Clone, Debug)]
enum Memory {
    Mapped(Arc<Mmap>),
    /// Bytes that start at a cache line.
    Owned(Bytes),
}

/// The size of a cache line, which sections of a package start at.
pub(crate) const LINE: usize = 64;
/// The size of a huge page of Linux where small ones have 4 KiB. A layer reads all its weights for an answer, and the processor
/// looks up where each page of them lies: in small pages, an answer of MiniLM takes 1.1 to 1.4 times as long.
const HUGE_PAGE: usize = 2 << 20;

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

impl PackageBytes {
    /// Whether they are those of a file.
    pub(crate) fn is_mapped(&self) -> bool {
        matches!(self.0, Memory::Mapped(_))
    }

    /// The memory, to be written to, where nobody else holds it.
    pub(crate) fn into_unique(self) -> Result<BytesMut, Self> {
        match self.0 {
            Memory::Owned(bytes) => bytes.try_into_mut().map_err(|bytes| Self(Memory::Owned(bytes))),
            other => Err(Self(other)),
        }
    }
}

/// Memory for so many bytes that starts at a cache line, zeroed as it is touched. Where huge pages fit in, it starts at
/// one, and Linux is asked for them, without one for the rest: no more is touched than with small pages.
pub(crate) fn aligned(length: usize) -> BytesMut {
    let alignment = if length < HUGE_PAGE { LINE } else { HUGE_PAGE };
    let mut memory = BytesMut::zeroed(length + alignment - 1);
    let padding = memory.as_ptr().align_offset(alignment).min(alignment - 1);
    let mut rest = memory.split_off(padding);
    rest.truncate(length);
    ask_for_huge_pages(&mut rest[..length - length % HUGE_PAGE]);
    rest
}

/// A system that has none, or gives none, holds the memory in small pages.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn ask_for_huge_pages(memory: &mut [u8]) {
    use rustix::mm::{Advice, madvise};
    if memory.is_empty() {
        return;
    }
    // SAFETY: the range is that of a unique slice. The advice changes in which pages it lies, not what it holds.
    let _ = unsafe { madvise(memory.as_mut_ptr().cast(), memory.len(), Advice::LinuxHugepage) };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_memory: &mut [u8]) {}

/// Bytes that do not start at a cache line are copied to one.
impl From<Bytes> for PackageBytes {
    fn from(bytes: Bytes) -> Self {
        if (bytes.as_ptr() as usize).is_multiple_of(LINE) {
            return Self(Memory::Owned(bytes));
        }
        let mut memory = aligned(bytes.len());
        memory.copy_from_slice(&bytes);
        Self(Memory::Owned(memory.freeze()))
    }
}

impl From<Vec<u8>> for PackageBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl AsRef<[u8]> for PackageBytes {
    fn as_ref(&self) -> &[u8] {
        self
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

#[cfg(test)]
mod tests;
