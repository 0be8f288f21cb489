//! One file of a hub to one of this machine: in its place once it has its digest, and gone on with where it broke off.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use ureq::http::StatusCode;

use super::client::Answer;
use super::digest::{Hasher, PIECE};
use super::hub::{Hub, Remote};
use super::patience::{Failure, KEPT, Patience, Try};
use crate::progress::Progress;

/// How often in a row a file may break off without a single byte.
const TRIES: u32 = 6;
/// How often a file is read from its beginning.
const BEGINNINGS: usize = 2;

/// What is needed to download files.
pub(super) struct Download<'a> {
    pub(super) hub: &'a Hub<'a>,
    pub(super) commit: &'a str,
    pub(super) folder: &'a Path,
    pub(super) progress: &'a Progress,
}

/// A file that is being written.
struct Part {
    path: PathBuf,
    file: File,
    /// How much of it there is.
    len: u64,
    /// Of what there is.
    hasher: Hasher,
}

impl Download<'_> {
    /// # Errors
    /// A hub that gives something else than it says, or nothing however often it is asked, or a disk that can't take it.
    pub(super) fn run(&self, remote: &Remote) -> Result<()> {
        let place = remote.path.within(self.folder);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).with_context(|| format!("can't make the folder {}", parent.display()))?;
        }
        for _ in 0..BEGINNINGS {
            let mut part = Part::open(remote, self.folder).with_context(|| unwritable(&place))?;
            self.progress.skip(part.len);
            self.complete(remote, &mut part)?;
            if part.hasher.finish() == remote.digest {
                part.file.sync_all().with_context(|| unwritable(&place))?;
                return fs::rename(&part.path, &place).with_context(|| unwritable(&place));
            }
            self.progress.take_back(part.len);
            fs::remove_file(&part.path).with_context(|| unwritable(&place))?;
        }
        let endpoint = self.hub.client.endpoint();
        bail!(
            "{} came with other bytes than {endpoint} says it has, {BEGINNINGS} times: something on the way changes it",
            remote.path
        )
    }

    /// Brings a part to its full length.
    fn complete(&self, remote: &Remote, part: &mut Part) -> Result<()> {
        let mut patience = Patience::of(TRIES, KEPT);
        while part.len < remote.size {
            let before = part.len;
            if let Err(failure) = self.go_on(remote, part) {
                if part.len > before {
                    patience.restore();
                }
                patience.wait(failure, |line| self.progress.tell(line))?;
            }
        }
        Ok(())
    }

    /// Asks for what a part lacks, and takes what comes.
    fn go_on(&self, remote: &Remote, part: &mut Part) -> Try<()> {
        let answer = self.hub.open(self.commit, remote, part.len)?;
        if !continues(&answer, part.len, remote.size) {
            self.progress.take_back(part.len);
            part.begin_again(remote).with_context(|| unwritable(&part.path))?;
            if answer.status() != StatusCode::OK {
                return Err(self
                    .hub
                    .broken_off(&remote.path, "the hub answers with another part than it was asked for"));
            }
        }
        let left = remote.size - part.len;
        if answer.length().is_some_and(|length| length != left) {
            let told = answer.length().unwrap_or_default();
            return Err(Failure::Lasting(anyhow!(
                "{} gives {told} bytes of {} where {left} are missing: something on the way changes it",
                answer.from,
                remote.path
            )));
        }
        let mut reader = answer.into_reader(left).take(left);
        let mut piece = vec![0; PIECE];
        while part.len < remote.size {
            match reader.read(&mut piece) {
                Ok(0) => return Err(self.hub.broken_off(&remote.path, "its end did not come")),
                Ok(count) => {
                    part.write(&piece[..count]).with_context(|| unwritable(&part.path))?;
                    self.progress.add(count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.hub.broken_off(&remote.path, &error.to_string())),
            }
        }
        Ok(())
    }
}

/// Whether an answer goes on where a part ends.
fn continues(answer: &Answer, len: u64, size: u64) -> bool {
    match answer.status() {
        StatusCode::PARTIAL_CONTENT => answer.range() == Some((len, size)),
        StatusCode::OK => len == 0,
        _ => false,
    }
}

impl Part {
    /// What there is of a file. Its name has the digest: it is never gone on with for another content.
    fn open(remote: &Remote, folder: &Path) -> io::Result<Self> {
        let path = path(remote, folder);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut hasher = remote.digest.hasher(remote.size);
        let mut len = file.metadata()?.len();
        if len > remote.size {
            file.set_len(0)?;
            len = 0;
        }
        hasher.read(&mut file)?;
        Ok(Self { path, file, len, hasher })
    }

    fn begin_again(&mut self, remote: &Remote) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.len = 0;
        self.hasher = remote.digest.hasher(remote.size);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }
}

/// Where a file is until it is whole.
pub(super) fn path(remote: &Remote, folder: &Path) -> PathBuf {
    let place = remote.path.within(folder);
    place.with_file_name(format!("{}.{}.part", remote.path.file(), remote.digest.short()))
}

fn unwritable(path: &Path) -> String {
    format!("can't write {}", path.display())
}
