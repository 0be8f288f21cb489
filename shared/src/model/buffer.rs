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
    Owned(Bytes),
    Aligned(Arc<Vec<Line>>, usize),
}

/// A cache line, which sections of a package start at.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u8; 64]);

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

/// Memory for so many bytes that starts at a cache line, zeroed as it is touched.
pub(crate) fn aligned(length: usize) -> BytesMut {
    let line = size_of::<Line>();
    let mut memory = BytesMut::zeroed(length + line - 1);
    let padding = memory.as_ptr().align_offset(line).min(line - 1);
    let mut rest = memory.split_off(padding);
    rest.truncate(length);
    rest
}

/// Bytes that do not start at a cache line are copied to one.
impl From<Bytes> for PackageBytes {
    fn from(bytes: Bytes) -> Self {
        if (bytes.as_ptr() as usize).is_multiple_of(size_of::<Line>()) {
            return Self(Memory::Owned(bytes));
        }
        let line = |chunk: &[u8]| {
            let mut line = Line([0; size_of::<Line>()]);
            line.0[..chunk.len()].copy_from_slice(chunk);
            line
        };
        let lines = bytes.chunks(size_of::<Line>()).map(line).collect();
        Self(Memory::Aligned(Arc::new(lines), bytes.len()))
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

    #[allow(unsafe_code)]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Memory::Mapped(mapping) => mapping,
            Memory::Owned(bytes) => bytes,
            Memory::Aligned(lines, length) => {
                // SAFETY: the lines hold at least `length` bytes, one after the other without padding.
                unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), *length) }
            }
        }
    }
}
