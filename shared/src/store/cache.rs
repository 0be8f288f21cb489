//! Packages kept in a folder of this machine, so that a process started anew need not download them.
//!
//! `DIGEST.ember` is a package. It is believed only once all of it was hashed again: a file that is damaged, cut short by
//! a crash or by a full disk is removed. Files are written under a name of their own, locked, and renamed when they are
//! whole, so that any number of processes may share a folder; one without a lock was left by a process that is gone.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::Kept;
use crate::model::{Digest, Hashed, PackageBytes};

/// What packages leave free on the disk: others write there too.
const RESERVE_BYTES: u64 = 1 << 20;
/// `SIGXFSZ`: a file would become larger than the process may make one. Unhandled, it ends the process.
const FILE_TOO_LARGE: i32 = 25;

/// A folder of packages.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    /// Whether it was written to, or looked through for what others left, since the start.
    is_begun: AtomicBool,
}

impl Cache {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, is_begun: AtomicBool::new(false) }
    }

    /// Gets ready to be written to, from a runtime; answers whether this is the first time, when what others left is to be
    /// removed though nothing may have to be kept.
    pub(super) fn begin(&self) -> bool {
        let is_first = !self.is_begun.swap(true, Ordering::Relaxed);
        if is_first && let Err(error) = signal(SignalKind::from_raw(FILE_TOO_LARGE)) {
            warn!(%error, "a limit on the size of files may end this process");
        }
        is_first
    }

    /// The package with this digest, mapped, where the folder has it whole. Hashes it: for threads that may block.
    pub(super) fn find(&self, digest: &Digest) -> Option<Hashed> {
        let path = self.path(digest);
        let package = match PackageBytes::map(&path) {
            Ok(bytes) => Hashed::of(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => {
                warn!(path = %path.display(), %error, "cached package can't be read; it is downloaded");
                return None;
            }
        };
        if package.digest() == digest {
            return Some(package);
        }
        warn!(path = %path.display(), got = %package.digest(), "cached package is damaged; removed");
        if let Err(error) = fs::remove_file(&path) {
            warn!(path = %path.display(), %error, "damaged package can't be removed");
        }
        None
    }

    /// Writes a package into the folder; where that fails, the log says why, and nothing is left behind.
    pub(super) fn keep(&self, package: &Kept) {
        let path = self.path(package.digest());
        self.remove_abandoned();
        match self.write(package, &path) {
            Ok(()) => info!(path = %path.display(), bytes = package.len(), "package kept in the cache folder"),
            Err(error) => warn!(path = %path.display(), %error, "package not kept in the cache folder"),
        }
    }

    fn write(&self, package: &Kept, path: &Path) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        if path.exists() {
            return Ok(());
        }
        self.make_room(package.len() as u64)?;
        let part = Part::create(path)?;
        package.write(&mut &part.file)?;
        fs::rename(&part.path, path)
    }

    /// Removes the packages that were written first until there is room for another.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let needed = bytes.saturating_add(RESERVE_BYTES);
        let mut packages = self.packages();
        packages.sort_unstable_by(|a, b| b.cmp(a));
        loop {
            let disk = rustix::fs::statvfs(&self.folder)?;
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            if free >= needed {
                return Ok(());
            }
            let Some((_, oldest)) = packages.pop() else {
                let reason = format!("expected {needed} bytes of free space, found {free}");
                return Err(io::Error::new(ErrorKind::StorageFull, reason));
            };
            info!(path = %oldest.display(), "cached package removed to make room");
            fs::remove_file(oldest)?;
        }
    }

    /// The packages of the folder with the times they were written at.
    fn packages(&self) -> Vec<(SystemTime, PathBuf)> {
        let written = |path: PathBuf| Some((fs::metadata(&path).and_then(|file| file.modified()).ok()?, path));
        let is_package = |path: &PathBuf| {
            let digest = path.file_stem().and_then(|name| name.to_str()).map(str::parse::<Digest>);
            path.extension().is_some_and(|extension| extension == "ember") && matches!(digest, Some(Ok(_)))
        };
        self.files().into_iter().filter(is_package).filter_map(written).collect()
    }

    /// Removes what processes that ended before their time have left.
    pub(super) fn remove_abandoned(&self) {
        let parts =
            self.files().into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "part"));
        for path in parts {
            // The lock of a process ends with it.
            let removed = File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) && fs::remove_file(&path).is_ok();
            if removed {
                info!(path = %path.display(), "abandoned file removed from the cache folder");
            }
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten();
        entries.filter_map(Result::ok).map(|entry| entry.path()).collect()
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}.ember"))
    }
}

/// A package that is being written; gone with whoever writes it, unless it was renamed.
struct Part {
    file: File,
    path: PathBuf,
}

impl Part {
    fn create(package: &Path) -> io::Result<Self> {
        let path = package.with_extension(format!("{:016x}.part", fastrand::u64(..)));
        let part = Self { file: File::create_new(&path)?, path };
        match part.file.try_lock() {
            Ok(()) => Ok(part),
            Err(TryLockError::WouldBlock) => {
                Err(io::Error::new(ErrorKind::WouldBlock, "somebody took it for abandoned"))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn package(byte: u8) -> Hashed {
        Hashed::of(vec![byte; 3 << 19].into())
    }

    fn keep(cache: &Cache, package: &Hashed) {
        cache.keep(&Kept::Plain(package.clone()));
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_package_that_was_kept_is_found_whole() {
        let folder = TempDir::new().unwrap();
        let cache = Cache::new(folder.path().join("made/on/the/way"));
        let package = package(1);
        assert!(cache.find(package.digest()).is_none());
        keep(&cache, &package);
        let found = cache.find(package.digest()).unwrap();
        assert_eq!(**found.bytes(), **package.bytes());
        assert_eq!(names(&cache.folder), [format!("{}.ember", package.digest())]);
    }

    #[test]
    fn a_damaged_package_is_removed_and_not_found() {
        let folder = TempDir::new().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        let package = package(1);
        let path = cache.path(package.digest());
        let mut flipped = package.bytes().to_vec();
        flipped[70_000] ^= 1;
        for content in [&[][..], &package.bytes()[..100], &flipped] {
            fs::write(&path, content).unwrap();
            assert!(cache.find(package.digest()).is_none());
            assert!(!path.exists());
        }
    }

    #[test]
    fn what_a_process_left_is_removed_and_what_one_writes_is_not() {
        let folder = TempDir::new().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        let (kept, other) = (package(1), package(2));
        let written = Part::create(&cache.path(other.digest())).unwrap();
        fs::write(folder.path().join("abandoned.part"), b"half").unwrap();
        fs::write(folder.path().join("notes.txt"), b"somebody else's").unwrap();
        keep(&cache, &kept);
        let expected = [
            format!("{}.ember", kept.digest()),
            written.path.file_name().unwrap().to_str().unwrap().to_owned(),
            "notes.txt".to_owned(),
        ];
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(names(folder.path()), expected);
    }

    #[test]
    fn many_may_keep_one_package_at_once() {
        let folder = TempDir::new().unwrap();
        let package = package(1);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| keep(&Cache::new(folder.path().to_owned()), &package));
            }
        });
        let cache = Cache::new(folder.path().to_owned());
        assert!(cache.find(package.digest()).is_some());
        assert_eq!(names(folder.path()), [format!("{}.ember", package.digest())]);
    }

    #[test]
    fn a_package_for_which_there_is_no_room_is_not_begun() {
        let folder = TempDir::new().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        keep(&cache, &package(1));
        fs::write(folder.path().join("notes.ember"), b"somebody else's").unwrap();
        let error = cache.make_room(u64::MAX).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(names(folder.path()), ["notes.ember"], "older packages make room, other files stay");
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_gone_without() {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("file"), b"").unwrap();
        let cache = Cache::new(folder.path().join("file/cache"));
        let package = package(1);
        keep(&cache, &package);
        assert!(cache.find(package.digest()).is_none());
    }
}
