//! Files that appear whole or not at all: each is written beside its place and moved there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The files of this process that are being written.
static OPEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn open() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that is being written, beside the place it is for. It goes away unless it is [kept](Self::keep).
#[derive(Debug)]
pub struct Unfinished {
    path: PathBuf,
    place: PathBuf,
    file: File,
}

impl Unfinished {
    /// Begins a file in the folder of its place, for whoever may read the files that the user makes.
    ///
    /// # Errors
    /// A folder that can't be written to.
    pub fn beside(place: &Path) -> io::Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let path = place.with_file_name(format!("{name}.{}-{count}.part", std::process::id()));
        // Known before it is there, so that no moment is left in which nobody would remove it.
        let mut open = open();
        let file = File::create(&path)?;
        open.insert(path.clone());
        Ok(Self { path, place: place.to_owned(), file })
    }

    /// Puts the file into its place, where it replaces another.
    ///
    /// # Errors
    /// A disk that is full, or a place that is a folder.
    pub fn keep(self) -> io::Result<()> {
        self.file.sync_all()?;
        let mut open = open();
        fs::rename(&self.path, &self.place)?;
        open.remove(&self.path);
        Ok(())
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if open().remove(&self.path) {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Writes a file that replaces what is in its place.
///
/// # Errors
/// As [`Unfinished::beside`] and [`Unfinished::keep`].
pub fn write_whole(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = Unfinished::beside(place)?;
    file.write_all(bytes)?;
    file.keep()
}

/// Removes every file that is being written, and lets no other begin or take its place: for a process that ends now.
pub fn abandon_unfinished() {
    let open = open();
    for path in open.iter() {
        drop(fs::remove_file(path));
    }
    std::mem::forget(open);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = entries.collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_once_it_is_kept_and_replaces_another() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a.ember");
        write_whole(&place, b"first").unwrap();
        let mut file = Unfinished::beside(&place).unwrap();
        file.write_all(b"second").unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"first");
        file.keep().unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"second");
        assert_eq!(names(folder.path()), ["a.ember"]);
    }

    #[test]
    fn a_file_that_is_not_kept_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = Unfinished::beside(&folder.path().join("a.ember")).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        drop(file);
        assert!(names(folder.path()).is_empty());
        // A folder is in its place.
        fs::create_dir(folder.path().join("taken")).unwrap();
        assert!(write_whole(&folder.path().join("taken"), b"bytes").is_err());
        assert_eq!(names(folder.path()), ["taken"]);
    }
}
