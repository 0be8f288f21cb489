//! Where packages come from: a folder, or S3 and what speaks its protocol.
//!
//! In both, `models/NAME/DIGEST.ember` is a package and `models/NAME/current.json` points to the one in force.
//! A push uploads the package first and swings the pointer last, and only if nobody swung it in the meantime.

mod bucket;
mod cache;
mod download;
mod fault;
mod folder;
mod kept;
mod location;
mod patience;
mod pointer;
mod s3;
mod whole;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

pub(crate) use bucket::Bucket;
pub use bucket::BucketLocation;
use cache::Cache;
use folder::FolderStore;
pub(crate) use kept::Kept;
pub use location::{Location, LocationError, S3Settings};
pub use patience::Patience;
use pointer::Pointer;
use s3::S3Store;
pub use whole::{Unfinished, abandon_unfinished, write_whole};

use crate::model::{Digest, Hashed, ModelName, PackageBytes};
use crate::telemetry::cold_start::{Step, Timeline};
use crate::trust;

/// A place that holds packages.
#[derive(Debug)]
pub struct Store {
    location: Location,
    backend: Backend,
    /// Where packages that were downloaded are kept.
    cache: Option<Arc<Cache>>,
    /// What was downloaded and is still to be kept.
    unkept: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
enum Backend {
    Folder(FolderStore),
    S3(S3Store),
}

/// Why the store can't answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum StoreError {
    #[error("there is no model {model:?}: the store has no {key}")]
    UnknownModel { model: String, key: String },
    #[error("{store} has no bucket {bucket:?}")]
    MissingBucket { store: String, bucket: String },
    #[error("the store's folder {0:?} is not there")]
    MissingFolder(String),
    #[error("the pointer of model {model:?} names package {digest}, but {key} is not there")]
    MissingPackage { model: String, digest: Digest, key: String },
    #[error("the pointer {key} can't be read: {reason}")]
    Pointer { key: String, reason: String },
    #[error("access to {key} in {store} is denied: {reason}")]
    Denied { store: String, key: String, reason: String },
    #[error("{store} can't be reached: {reason}")]
    Unreachable { store: String, reason: String },
    #[error("the package has {bytes} bytes, which is more than the {memory} bytes of memory there are")]
    TooLarge { bytes: u64, memory: u64 },
    #[error("there is no object {object}")]
    MissingObject { object: String },
    #[error("the object {object} has {bytes} bytes, expected at most {longest}")]
    ObjectTooLarge { object: String, bytes: u64, longest: u64 },
    #[error("reading it was interrupted")]
    Interrupted,
    #[error("the pointer of model {model:?} was changed by somebody else meanwhile; it is now {now}")]
    Conflict { model: String, now: String },
}

impl Store {
    /// A store at this location. Nothing is contacted before it is asked for something.
    pub fn new(location: Location) -> Self {
        let backend = match location.clone() {
            Location::Folder(root) => Backend::Folder(FolderStore::new(root)),
            Location::S3 { bucket, prefix, settings } => Backend::S3(S3Store::new(bucket, prefix, settings)),
        };
        Self { location, backend, cache: None, unkept: Mutex::default() }
    }

    /// Keeps packages that are downloaded in a folder, and looks there first.
    #[must_use]
    pub fn with_cache(self, folder: Option<PathBuf>) -> Self {
        Self { cache: folder.map(|folder| Arc::new(Cache::new(folder))), ..self }
    }

    /// Gets ready to be asked, so that what this takes is known by itself: builds the client of an S3 store.
    ///
    /// # Errors
    /// A client that can't be built.
    pub async fn connect(&self, timeline: &Timeline) -> Result<(), StoreError> {
        let Backend::S3(s3) = &self.backend else { return Ok(()) };
        let start = Instant::now();
        s3.connect().await?;
        timeline.end(Step::Client, start);
        Ok(())
    }

    /// The digest of the package in force for a model.
    ///
    /// # Errors
    /// [`StoreError::UnknownModel`] where there is no pointer.
    pub async fn current(&self, model: &ModelName) -> Result<Digest, StoreError> {
        let (bytes, _) = self
            .read_pointer(model)
            .await?
            .ok_or_else(|| StoreError::UnknownModel { model: model.to_string(), key: pointer_key(model) })?;
        let pointer =
            Pointer::parse(&bytes).map_err(|reason| StoreError::Pointer { key: pointer_key(model), reason })?;
        Ok(pointer.digest)
    }

    async fn read_pointer(&self, model: &ModelName) -> Result<Option<(Vec<u8>, String)>, StoreError> {
        let key = pointer_key(model);
        match &self.backend {
            Backend::Folder(folder) => folder.read_pointer(&key),
            Backend::S3(s3) => s3.read_pointer(&key).await,
        }
    }

    /// The bytes of a package with the digest that they have, which need not be `digest`. Where the time goes is noted on
    /// the timeline.
    ///
    /// # Errors
    /// [`StoreError::MissingPackage`] where there is none.
    pub async fn package(&self, model: &ModelName, digest: &Digest, timeline: &Timeline) -> Result<Hashed, StoreError> {
        let key = package_key(model, digest);
        let package = match &self.backend {
            Backend::Folder(folder) => match timeline.measure(Step::FirstByte, || folder.read_package(&key))? {
                Some(bytes) => Some(hashed(bytes, timeline).await?),
                None => None,
            },
            Backend::S3(s3) => match self.cached(digest, timeline).await? {
                Some(package) => Some(package),
                None => self.to_be_kept(s3.read_package(&key, digest, timeline).await?, digest),
            },
        };
        package.ok_or_else(|| StoreError::MissingPackage { model: model.to_string(), digest: *digest, key })
    }

    /// Whether a package is there, and intact.
    async fn holds(&self, model: &ModelName, digest: &Digest) -> bool {
        let there = self.package(model, digest, &Timeline::default()).await;
        there.is_ok_and(|there| there.digest() == digest)
    }

    async fn cached(&self, digest: &Digest, timeline: &Timeline) -> Result<Option<Hashed>, StoreError> {
        let Some(cache) = self.cache.clone() else { return Ok(None) };
        let (digest, start) = (*digest, Instant::now());
        let found = tokio::task::spawn_blocking(move || cache.find(&digest)).await;
        timeline.end(Step::Digest, start);
        found.map_err(|_| StoreError::Interrupted)
    }

    /// Notes a package that was downloaded and is what was asked for. One that is encrypted is noted by whoever decrypts it,
    /// who needs its memory.
    fn to_be_kept(&self, package: Option<Hashed>, digest: &Digest) -> Option<Hashed> {
        let is_kept = |package: &&Hashed| package.digest() == digest && !trust::is_container(package.bytes());
        if let Some(package) = package.as_ref().filter(is_kept) {
            self.keep(Kept::Plain(package.clone()));
        }
        package
    }

    /// Notes a package that was downloaded.
    pub(crate) fn keep(&self, package: Kept) {
        if self.cache.is_some() {
            self.unkept().push(package);
        }
    }

    /// Begins to write what was downloaded into the cache folder, on the side: it is for the time after an answer. The first
    /// time, what other processes left there is removed.
    pub fn keep_downloaded(&self) {
        let Some(cache) = &self.cache else { return };
        let is_first = cache.begin();
        let packages = std::mem::take(&mut *self.unkept());
        if is_first && packages.is_empty() {
            let cache = Arc::clone(cache);
            drop(tokio::task::spawn_blocking(move || cache.remove_abandoned()));
        }
        for package in packages {
            let cache = Arc::clone(cache);
            drop(tokio::task::spawn_blocking(move || cache.keep(&package)));
        }
    }

    fn unkept(&self) -> std::sync::MutexGuard<'_, Vec<Kept>> {
        self.unkept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The models that have a pointer, by name.
    ///
    /// # Errors
    /// A store that can't be read.
    pub async fn list(&self) -> Result<Vec<ModelName>, StoreError> {
        let mut names = match &self.backend {
            Backend::Folder(folder) => folder.list()?,
            Backend::S3(s3) => s3.list().await?,
        };
        names.sort();
        Ok(names)
    }

    /// Puts a package into the store and makes it the one in force. A folder that is not there is made.
    ///
    /// The pointer swings only if it is still what it was before the upload.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where somebody else pushed meanwhile.
    pub async fn push(&self, model: &ModelName, digest: &Digest, bytes: PackageBytes) -> Result<Pushed, StoreError> {
        let before = match self.read_pointer(model).await {
            Err(StoreError::MissingFolder(_)) => None,
            pointer => pointer?,
        };
        let previous = before.as_ref().and_then(|(bytes, _)| Pointer::parse(bytes).ok()).map(|pointer| pointer.digest);
        if previous == Some(*digest) && self.holds(model, digest).await {
            return Ok(Pushed { previous });
        }
        let key = package_key(model, digest);
        let pointer = Pointer { digest: *digest }.to_bytes();
        let expected = before.as_ref().map(|(_, version)| version.as_str());
        let swung = match &self.backend {
            Backend::Folder(folder) => {
                folder.write_package(&key, &bytes)?;
                folder.swing_pointer(&pointer_key(model), &pointer, expected)?
            }
            Backend::S3(s3) => {
                s3.write_package(&key, bytes).await?;
                s3.swing_pointer(&pointer_key(model), pointer, expected).await?
            }
        };
        if swung {
            return Ok(Pushed { previous });
        }
        let now = match self.current(model).await {
            Ok(digest) => digest.to_string(),
            Err(error) => error.to_string(),
        };
        Err(StoreError::Conflict { model: model.to_string(), now })
    }
}

/// What a push found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The package that was in force before; the pushed one itself where it was there already.
    pub previous: Option<Digest>,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location.fmt(f)
    }
}

/// Hashes bytes where that keeps nobody waiting.
async fn hashed(bytes: PackageBytes, timeline: &Timeline) -> Result<Hashed, StoreError> {
    let start = Instant::now();
    let hashed = tokio::task::spawn_blocking(move || Hashed::of(bytes)).await;
    timeline.end(Step::Digest, start);
    hashed.map_err(|_| StoreError::Interrupted)
}

/// The key of a model's pointer below the store's root.
fn pointer_key(model: &ModelName) -> String {
    format!("models/{model}/current.json")
}

/// The key of a package below the store's root.
fn package_key(model: &ModelName, digest: &Digest) -> String {
    format!("models/{model}/{digest}.ember")
}
