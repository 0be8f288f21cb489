//! `emberlite pull`: a model's files come from a hub into a folder, each whole or not at all.

mod address;
mod choose;
mod client;
mod digest;
mod download;
mod endpoint;
mod hub;
mod path;
mod patience;
mod record;
mod refusal;
mod report;
mod token;
mod work;

use std::fs::{self, File};
use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error, Result, bail, ensure};
use serde::Serialize;

use crate::bench::bytes;
use crate::interrupt;
use crate::progress::Progress;
pub use address::Address;
use client::Client;
use download::Download;
use endpoint::Endpoint;
use hub::{Hub, Remote};
use record::Record;
use token::Token;

/// What to pull.
#[derive(Clone, Debug)]
pub struct Request {
    /// The repository and its revision.
    pub source: Address,
    /// The folder that the files go to; where there is none, one by the repository's name.
    pub output: Option<PathBuf>,
    /// Patterns for the weights to take in the place of the usual ones.
    pub include: Vec<String>,
    /// A file that holds the token; else it is in the environment.
    pub token_file: Option<PathBuf>,
    /// How many files are downloaded at once.
    pub jobs: NonZero<usize>,
}

/// What a pull did.
#[derive(Debug, Serialize)]
pub struct Pulled {
    folder: PathBuf,
    source: String,
    commit: String,
    files: Vec<PulledFile>,
    /// What the repository has beside these.
    left_out: Vec<LeftOut>,
    /// What can be packed now.
    model: PathBuf,
}

#[derive(Debug, Serialize)]
struct PulledFile {
    path: String,
    bytes: u64,
    digest: String,
    /// Whether it came now, and was not there before.
    downloaded: bool,
}

#[derive(Debug, Serialize)]
struct LeftOut {
    path: String,
    bytes: u64,
}

/// Downloads the files of a model.
///
/// # Errors
/// A repository that is not there or not open, one without weights that can be packed, a folder that is somebody else's, or
/// a network or a disk that fails; what was downloaded stays for the next time.
pub fn pull(request: &Request) -> Result<Pulled> {
    interrupt::advise("what was downloaded is kept: the same command goes on from there");
    let Request { source, include, .. } = request;
    let endpoint = Endpoint::find().map_err(Error::msg)?;
    let client = Client::new(endpoint, Token::find(request.token_file.as_deref())?)?;
    let hub = Hub { client: &client, address: source };
    let progress = Progress::start(format!("asking for {source}"));
    let tell = |line| progress.tell(line);
    let listing = hub.list(tell)?;
    let choice = choose::choose(&listing.files, include, |file| hub.read(&listing.commit, file, tell))
        .with_context(|| format!("{source} can't be taken"))?;

    let folder = request.output.clone().unwrap_or_else(|| PathBuf::from(source.name()));
    let earlier = own(&folder)?;
    let _lock = lock(&folder)?;
    progress.step("looking at what is there");
    let there = work::each(request.jobs, &choice.files, |file| {
        let path = file.path.within(&folder);
        file.digest.is_of(&path, file.size).with_context(|| format!("can't read {}", path.display()))
    })?;
    let missing: Vec<_> = choice.files.iter().zip(&there).filter(|(_, there)| !**there).map(|(file, _)| file).collect();
    check_room(&missing, &folder)?;
    // First of all the folder is the pull's own, so that another one may go on with it.
    let record = Record::new(source, client.endpoint().to_string(), listing.commit.clone(), &choice.files);
    record.write(&folder)?;
    progress.bytes(format!("downloading {}", source.name()), missing.iter().map(|file| file.size).sum());
    let download = Download { hub: &hub, commit: &listing.commit, folder: &folder, progress: &progress };
    work::each(request.jobs, &missing, |file| download.run(file))?;
    if let Some(earlier) = earlier {
        earlier.remove_all_but(&record, &folder)?;
    }
    Ok(Pulled {
        model: choice.model.as_ref().map_or_else(|| folder.clone(), |path| path.within(&folder)),
        folder,
        source: source.to_string(),
        commit: listing.commit,
        files: choice.files.iter().zip(there).map(|(file, there)| PulledFile::new(file, !there)).collect(),
        left_out: choice
            .left_out
            .iter()
            .map(|file| LeftOut { path: file.path.to_string(), bytes: file.size })
            .collect(),
    })
}

impl PulledFile {
    fn new(file: &Remote, downloaded: bool) -> Self {
        Self { path: file.path.to_string(), bytes: file.size, digest: file.digest.to_string(), downloaded }
    }
}

/// Makes the folder where it is not there; what a pull has written there before, if it is.
fn own(folder: &Path) -> Result<Option<Record>> {
    fs::create_dir_all(folder).with_context(|| format!("can't make the folder {}", folder.display()))?;
    let earlier = Record::read(folder)?;
    let mut entries = fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))?;
    ensure!(
        earlier.is_some() || entries.next().is_none(),
        "{} has files that no pull has put there: name another folder with --output",
        folder.display()
    );
    Ok(earlier)
}

/// Keeps another pull out of the folder.
fn lock(folder: &Path) -> Result<File> {
    let failed = || format!("can't lock {}", folder.display());
    let handle = File::open(folder).with_context(failed)?;
    match handle.try_lock() {
        Ok(()) => Ok(handle),
        Err(fs::TryLockError::WouldBlock) => bail!("another pull writes to {}: wait for it to end", folder.display()),
        Err(fs::TryLockError::Error(error)) => Err(error).with_context(failed),
    }
}

/// Whether the disk takes what is missing.
fn check_room(missing: &[&Remote], folder: &Path) -> Result<()> {
    let has = |file: &&Remote| fs::metadata(download::path(file, folder)).map_or(0, |part| part.len());
    let needed: u64 = missing.iter().map(|file| file.size.saturating_sub(has(file))).sum();
    // A system that does not tell is believed to have room.
    let Ok(disk) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    ensure!(
        needed <= free,
        "{} needs {}, and its disk has {} free: make room, or name a folder on another disk with --output",
        folder.display(),
        bytes(needed),
        bytes(free)
    );
    Ok(())
}
