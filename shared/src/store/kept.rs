//! A package that was downloaded and is to be kept: as it came, so that one that is encrypted in the store is so on the disk.

use std::io::{self, Write};

use crate::model::{Digest, Hashed};
use crate::trust::Sealed;

/// How much is written at once.
const PIECE_BYTES: usize = 1 << 20;

/// A package that is to be kept.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    /// In clear, as it is in the store.
    Plain(Hashed),
    /// Decrypted where it lay, and encrypted anew, to the same bytes, as it is written.
    Sealed(Sealed),
}

impl Kept {
    /// The digest of the file.
    pub(super) fn digest(&self) -> &Digest {
        match self {
            Self::Plain(package) => package.digest(),
            Self::Sealed(package) => package.digest(),
        }
    }

    /// The size of the file.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Plain(package) => package.bytes().len(),
            Self::Sealed(package) => package.len(),
        }
    }

    /// Writes the file.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Plain(package) => package.bytes().chunks(PIECE_BYTES).try_for_each(|piece| out.write_all(piece)),
            Self::Sealed(package) => package.pieces().try_for_each(|piece| out.write_all(&piece)),
        }
    }
}
