//! AES-256-GCM over the chunks of a package: each is bound to its place, to whether it is the last, and to the header.

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, Tag, UnboundKey};

use super::secret::Secret;
use crate::model::Digest;

/// The size of a chunk's tag.
pub(super) const TAG_BYTES: usize = 16;
/// What a thread is worth starting for.
const BYTES_PER_THREAD: usize = 1 << 20;
/// More threads than this wait for the memory.
const MOST_THREADS: usize = 8;

/// The key of one package, which encrypts nothing else: so nonces may count.
#[derive(Clone)]
pub(super) struct Cipher {
    key: Arc<LessSafeKey>,
    /// The digest of the clear header, which every chunk is bound to.
    header: Digest,
}

/// Why some chunk is none: which one, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadChunk(pub(super) usize);

impl Cipher {
    /// `None` never comes of 32 bytes.
    pub(super) fn new(key: &Secret, header: Digest) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key.bytes()).ok()?;
        Some(Self { key: Arc::new(LessSafeKey::new(key)), header })
    }

    /// Encrypts one chunk in its place and answers its tag.
    pub(super) fn seal(&self, index: usize, is_last: bool, chunk: &mut [u8]) -> Option<[u8; TAG_BYTES]> {
        let tag = self.key.seal_in_place_separate_tag(nonce(index, is_last), self.aad(), chunk).ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Decrypts chunks in their places, by several threads; `sealed` is where they come from, if not from there.
    ///
    /// # Errors
    /// A chunk that is damaged or in the wrong place.
    pub(super) fn open_all(
        &self,
        tags: &[[u8; TAG_BYTES]],
        chunk_bytes: usize,
        sealed: Option<&[u8]>,
        body: &mut [u8],
    ) -> Result<(), BadChunk> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
        let threads = cores.min(body.len() / BYTES_PER_THREAD).max(1);
        let span = tags.len().div_ceil(threads).max(1);
        let open = |(number, body): (usize, &mut [u8])| {
            let sealed = sealed.and_then(|sealed| sealed.get(number * span * chunk_bytes..));
            let places = number * span..tags.len();
            for ((at, index), chunk) in places.clone().enumerate().zip(body.chunks_mut(chunk_bytes)) {
                if let Some(sealed) = sealed {
                    let start = at * chunk_bytes;
                    chunk.copy_from_slice(sealed.get(start..start + chunk.len()).ok_or(BadChunk(index))?);
                }
                self.open(index, index + 1 == tags.len(), tags[index], chunk).ok_or(BadChunk(index))?;
            }
            Ok(())
        };
        let mut spans = body.chunks_mut(span * chunk_bytes).enumerate();
        let Some(mine) = spans.next() else { return Ok(()) };
        thread::scope(|scope| {
            let others: Vec<_> = spans.map(|span| scope.spawn(move || open(span))).collect();
            let mine = open(mine);
            others.into_iter().fold(mine, |first, other| {
                let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                first.and(other)
            })
        })
    }

    fn open(&self, index: usize, is_last: bool, tag: [u8; TAG_BYTES], chunk: &mut [u8]) -> Option<()> {
        let (nonce, tag) = (nonce(index, is_last), Tag::from(tag));
        self.key.open_in_place_separate_tag(nonce, self.aad(), tag, chunk, 0..).ok().map(drop)
    }

    fn aad(&self) -> Aad<&[u8; 32]> {
        Aad::from(self.header.as_bytes())
    }
}

/// The place of a chunk, and whether it is the last.
fn nonce(index: usize, is_last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[3..11].copy_from_slice(&(index as u64).to_be_bytes());
    nonce[11] = is_last.into();
    Nonce::assume_unique_for_key(nonce)
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(…)")
    }
}
