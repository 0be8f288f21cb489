//! A hub's API: which files a repository has at a revision, and what they are to be.

use std::collections::BTreeMap;
use std::io::Read as _;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use ureq::http::StatusCode;

use super::address::Address;
use super::client::{Answer, Client};
use super::digest::Digest;
use super::path::FilePath;
use super::patience::{self, Failure, Try};
use super::refusal;

/// How often the hub is asked.
const TRIES: u32 = 4;
/// The longest answer of the API.
const LONGEST_ANSWER: u64 = 64 << 20;
/// The most files that are listed.
const MOST_FILES: usize = 100_000;
/// What stays as it is in a part of a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) path: FilePath,
    pub(super) size: u64,
    pub(super) digest: Digest,
}

/// A repository at a commit.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    /// The commit that the revision names now.
    pub(super) commit: String,
    pub(super) files: Vec<Remote>,
}

#[derive(Deserialize)]
struct Told {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Large>,
}

/// What is told of a file that Git itself does not hold.
#[derive(Deserialize)]
struct Large {
    sha256: String,
    size: u64,
}

#[derive(Deserialize)]
struct Refs {
    #[serde(default)]
    branches: Vec<Ref>,
    #[serde(default)]
    tags: Vec<Ref>,
}

#[derive(Deserialize)]
struct Ref {
    name: String,
}

/// A repository of a hub.
pub(super) struct Hub<'a> {
    pub(super) client: &'a Client,
    pub(super) address: &'a Address,
}

impl Hub<'_> {
    /// The repository's files.
    ///
    /// # Errors
    /// A repository or a revision that is not there or not open, or a server that is no hub.
    pub(super) fn list(&self, tell: impl Fn(String)) -> Result<Listing> {
        let repository = self.address.repository();
        let path = format!("api/models/{repository}/revision/{}?blobs=true", encoded(self.address.revision()));
        let text = patience::insist(TRIES, tell, || self.text(&path))?;
        let endpoint = self.client.endpoint();
        let no_hub = || format!("{endpoint} does not answer as a hub does: check HF_ENDPOINT");
        let told: Told = serde_json::from_str(&text).with_context(no_hub)?;
        let hexadecimal = told.sha.bytes().all(|letter| letter.is_ascii_hexdigit());
        ensure!((7..=64).contains(&told.sha.len()) && hexadecimal, "{}: it tells no commit", no_hub());
        ensure!(told.siblings.len() <= MOST_FILES, "{} has more than {MOST_FILES} files", self.address);
        let files = told.siblings.into_iter().map(|sibling| self.remote(sibling)).collect::<Result<Vec<_>>>()?;
        let mut names: BTreeMap<String, &FilePath> = BTreeMap::new();
        for file in &files {
            if let Some(other) = names.insert(file.path.as_str().to_lowercase(), &file.path) {
                bail!("{} has {other} and {}: they can't be told apart on every system", self.address, file.path);
            }
        }
        Ok(Listing { commit: told.sha, files })
    }

    fn remote(&self, sibling: Sibling) -> Result<Remote> {
        let Sibling { rfilename, size, blob_id, lfs } = sibling;
        let path = FilePath::new(&rfilename)
            .with_context(|| format!("{} has a file with the name {rfilename:?}, which is refused", self.address))?;
        let told = match lfs {
            Some(large) => Digest::sha256(&large.sha256).map(|digest| (large.size, digest)),
            None => size.zip(blob_id.as_deref().and_then(Digest::git)),
        };
        let endpoint = self.client.endpoint();
        let (size, digest) = told
            .with_context(|| format!("{endpoint} tells no size and digest of {path}: without them nothing is taken"))?;
        Ok(Remote { path, size, digest })
    }

    /// The whole of a small file.
    ///
    /// # Errors
    /// As [`list`](Self::list), and bytes that do not have the digest.
    pub(super) fn read(&self, commit: &str, file: &Remote, tell: impl Fn(String)) -> Result<Vec<u8>> {
        ensure!(file.size <= LONGEST_ANSWER, "{} has {} bytes, which is no file of settings", file.path, file.size);
        patience::insist(TRIES, tell, || {
            let mut bytes = Vec::new();
            let mut reader = self.open(commit, file, 0)?.into_reader(file.size + 1);
            reader.read_to_end(&mut bytes).map_err(|error| self.broken_off(&file.path, &error.to_string()))?;
            let mut hasher = file.digest.hasher(file.size);
            hasher.update(&bytes);
            if hasher.finish() != file.digest {
                return Err(self.broken_off(&file.path, "it has another digest than the hub says"));
            }
            Ok(bytes)
        })
    }

    /// A file from this byte on. The answer may be that there is no such part, or the whole.
    pub(super) fn open(&self, commit: &str, file: &Remote, from: u64) -> Try<Answer> {
        let parts: Vec<_> = file.path.as_str().split('/').map(encoded).collect();
        let path = format!("{}/resolve/{commit}/{}", self.address.repository(), parts.join("/"));
        let answer = self.client.get(&path, from)?;
        match answer.status() {
            status if status.is_success() || (status == StatusCode::RANGE_NOT_SATISFIABLE && from > 0) => Ok(answer),
            _ => Err(self.refused(&answer)),
        }
    }

    /// Bytes that did not come, and may come when they are asked for again.
    pub(super) fn broken_off(&self, file: &FilePath, reason: &str) -> Failure {
        Failure::Passing { reason: format!("the download of {file} broke off ({reason})"), after: None }
    }

    fn text(&self, path: &str) -> Try<String> {
        let answer = self.client.get(path, 0)?;
        if !answer.status().is_success() {
            return Err(self.refused(&answer));
        }
        let mut bytes = Vec::new();
        let read = answer.into_reader(LONGEST_ANSWER).read_to_end(&mut bytes);
        let endpoint = self.client.endpoint();
        read.map_err(|error| Failure::Passing {
            reason: format!("the answer of {endpoint} broke off ({error})"),
            after: None,
        })?;
        String::from_utf8(bytes)
            .map_err(|_| anyhow!("{endpoint} does not answer as a hub does: check HF_ENDPOINT").into())
    }

    fn refused(&self, answer: &Answer) -> Failure {
        if !answer.own {
            let reason =
                format!("{}, where the hub keeps its files, answers {}", answer.from, answer.status().as_u16());
            return Failure::Passing { reason, after: None };
        }
        let refusal = refusal::Refusal { address: self.address, client: self.client, answer };
        Failure::Lasting(refusal.explain(|| self.refs()))
    }

    /// The names of branches and tags, as far as they can be had.
    fn refs(&self) -> Vec<String> {
        let text = self.text(&format!("api/models/{}/refs", self.address.repository())).unwrap_or_default();
        let Ok(refs) = serde_json::from_str::<Refs>(&text) else { return Vec::new() };
        refs.branches.into_iter().chain(refs.tags).map(|reference| reference.name).collect()
    }
}

fn encoded(part: &str) -> String {
    utf8_percent_encode(part, PLAIN).to_string()
}
