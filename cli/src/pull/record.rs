//! What a folder was pulled from: a small file in it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use emberlite::store::write_whole;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::digest::Digest;
use super::hub::Remote;
use super::path::FilePath;

/// The file.
pub(super) const FILE: &str = ".emberlite-pull.json";

/// Where files come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) source: String,
    pub(super) endpoint: String,
    pub(super) commit: String,
    /// The digest of each, by path.
    pub(super) files: BTreeMap<String, String>,
}

impl Record {
    pub(super) fn new(address: &Address, endpoint: String, commit: String, files: &[Remote]) -> Self {
        let files = files.iter().map(|file| (file.path.to_string(), file.digest.to_string())).collect();
        Self { source: address.to_string(), endpoint, commit, files }
    }

    /// That of a folder, if a pull has made it.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("can't read {}", path.display())),
        };
        let broken =
            || format!("{} can't be used: remove it, or pull into another folder with --output", path.display());
        serde_json::from_slice(&text).map(Some).with_context(broken)
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let text = serde_json::to_vec_pretty(self)?;
        write_whole(&path, &text).with_context(|| format!("can't write {}", path.display()))
    }

    /// Removes the files that this record has and a newer one does not, unless somebody has changed them.
    pub(super) fn remove_all_but(&self, newer: &Self, folder: &Path) -> Result<()> {
        for (name, digest) in self.files.iter().filter(|(name, _)| !newer.files.contains_key(*name)) {
            let Some(path) = FilePath::new(name).map(|path| path.within(folder)) else { continue };
            let Ok(size) = fs::metadata(&path).map(|file| file.len()) else { continue };
            let digest = match digest.split_once(':') {
                Some(("sha256", hex)) => Digest::sha256(hex),
                Some(("git", hex)) => Digest::git(hex),
                _ => None,
            };
            let failed = || format!("can't remove {}, which the repository has no more", path.display());
            if digest.is_some_and(|digest| digest.is_of(&path, size).unwrap_or(false)) {
                fs::remove_file(&path).with_context(failed)?;
            }
        }
        Ok(())
    }
}
