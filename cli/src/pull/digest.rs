//! Digests as a hub tells them: SHA-256 of large files, Git's own of others.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// What a file is read in.
pub(super) const PIECE: usize = 256 << 10;

/// The digest that a file has to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    /// Of its bytes.
    Sha256([u8; 32]),
    /// SHA-1 of its bytes as a blob of Git.
    Git([u8; 20]),
}

impl Digest {
    pub(super) fn sha256(text: &str) -> Option<Self> {
        bytes(text).map(Self::Sha256)
    }

    pub(super) fn git(text: &str) -> Option<Self> {
        bytes(text).map(Self::Git)
    }

    /// Hashes the bytes of a file of this size; the result is to be compared with this digest.
    pub(super) fn hasher(&self, size: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::Git(_) => Hasher::Git(Sha1::new().chain_update(format!("blob {size}\0"))),
        }
    }

    /// Whether a file has it, and this size.
    pub(super) fn is_of(&self, path: &Path, size: u64) -> io::Result<bool> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        if !found.is_file() || found.len() != size {
            return Ok(false);
        }
        let mut hasher = self.hasher(size);
        hasher.read(&mut file)?;
        Ok(hasher.finish() == *self)
    }

    /// A few letters of it, which tell it from others.
    pub(super) fn short(&self) -> String {
        match self {
            Self::Sha256(bytes) => hex(&bytes[..6]),
            Self::Git(bytes) => hex(&bytes[..6]),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(bytes) => write!(f, "sha256:{}", hex(bytes)),
            Self::Git(bytes) => write!(f, "git:{}", hex(bytes)),
        }
    }
}

/// What becomes a digest.
#[derive(Clone, Debug)]
pub(super) enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Git(hasher) => hasher.update(bytes),
        }
    }

    /// All there is to read.
    pub(super) fn read(&mut self, from: &mut impl Read) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            match from.read(&mut piece)? {
                0 => return Ok(()),
                count => self.update(&piece[..count]),
            }
        }
    }

    pub(super) fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => Digest::Sha256(hasher.finalize().into()),
            Self::Git(hasher) => Digest::Git(hasher.finalize().into()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if hex.len() != 2 * N || !hex.bytes().all(|letter| letter.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, place) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(place..place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_that_sha256sum_and_git_hash_object_tell() {
        let sha = Digest::sha256("98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4").unwrap();
        let git = Digest::git("45b983be36b73c0788dc9cbcb76cbb80fc7bb057").unwrap();
        for digest in [sha, git] {
            let mut hasher = digest.hasher(3);
            hasher.update(b"hi");
            hasher.update(b"\n");
            assert_eq!(hasher.finish(), digest);
        }
        assert_eq!(git.to_string(), "git:45b983be36b73c0788dc9cbcb76cbb80fc7bb057");
        assert_eq!((git.short(), sha.short()), ("45b983be36b7".to_owned(), "98ea6e4f216f".to_owned()));
    }

    #[test]
    fn what_is_no_digest_is_none() {
        for text in
            ["", "45b983", "zzb983be36b73c0788dc9cbcb76cbb80fc7bb057", "+5b983be36b73c0788dc9cbcb76cbb80fc7bb05é"]
        {
            assert_eq!(Digest::git(text), None);
        }
    }

    #[test]
    fn a_file_of_another_size_or_content_does_not_have_the_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let digest = Digest::git("45b983be36b73c0788dc9cbcb76cbb80fc7bb057").unwrap();
        assert!(!digest.is_of(&path, 3).unwrap());
        for (content, same) in [("hi\n", true), ("ho\n", false), ("hi", false)] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(digest.is_of(&path, 3).unwrap(), same);
        }
    }
}
