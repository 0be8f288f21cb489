//! A store in a folder: packages are mapped, files appear whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::StoreError;
use super::whole::write_whole;
use crate::model::{ModelName, PackageBytes};

#[derive(Debug)]
pub(super) struct FolderStore {
    root: PathBuf,
}

impl FolderStore {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// A pointer's bytes; they are their own version.
    pub(super) fn read_pointer(&self, key: &str) -> Result<Option<(Vec<u8>, String)>, StoreError> {
        match fs::read(self.root.join(key)) {
            Ok(bytes) => Ok(Some((bytes.clone(), String::from_utf8_lossy(&bytes).into_owned()))),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.check_root()?;
                Ok(None)
            }
            Err(error) => Err(self.error(key, &error)),
        }
    }

    pub(super) fn read_package(&self, key: &str) -> Result<Option<PackageBytes>, StoreError> {
        match PackageBytes::map(&self.root.join(key)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error(key, &error)),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<ModelName>, StoreError> {
        self.check_root()?;
        let folder = self.root.join("models");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.error("models", &error)),
        };
        Ok(entries
            .filter_map(Result::ok)
            .filter(|entry| entry.path().join("current.json").is_file())
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect())
    }

    pub(super) fn write_package(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.root.join(key);
        let parent = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent).and_then(|()| write_whole(&path, bytes)).map_err(|error| self.error(key, &error))
    }

    /// Replaces the pointer if it still is `expected`; answers whether it was.
    pub(super) fn swing_pointer(&self, key: &str, pointer: &[u8], expected: Option<&str>) -> Result<bool, StoreError> {
        let path = self.root.join(key);
        let failed = |error: io::Error| self.error(key, &error);
        let _lock = match lock_folder_of(&path) {
            Ok(lock) => lock,
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        };
        if self.read_pointer(key)?.map(|(_, version)| version).as_deref() != expected {
            return Ok(false);
        }
        write_whole(&path, pointer).map_err(failed)?;
        Ok(true)
    }

    fn check_root(&self) -> Result<(), StoreError> {
        if self.root.is_dir() {
            return Ok(());
        }
        Err(StoreError::MissingFolder(self.root.display().to_string()))
    }

    fn describe(&self) -> String {
        format!("folder {}", self.root.display())
    }

    fn error(&self, key: &str, error: &io::Error) -> StoreError {
        let store = self.describe();
        let reason = error.to_string();
        match error.kind() {
            ErrorKind::PermissionDenied => StoreError::Denied { store, key: key.to_owned(), reason },
            _ => StoreError::Unreachable { store, reason: format!("{key}: {reason}") },
        }
    }
}

/// Locks the folder of a file for this process; the lock ends with the handle, or with the process.
fn lock_folder_of(path: &Path) -> Result<File, TryLockError> {
    let folder = File::open(path.parent().unwrap_or(path)).map_err(TryLockError::Error)?;
    folder.try_lock()?;
    Ok(folder)
}
