//! The cell of one model: loads it once however many ask, and swaps in a newer package beside the old one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tracing::{error, info};

use super::loaded::ModelError;
use super::{Digest, Model, ModelName, PackageError};
use crate::store::{Kept, Store, StoreError};
use crate::telemetry::cold_start::{Step, Timeline};
use crate::telemetry::milliseconds;
use crate::trust::{Gate, OpenError, TrustError};

/// Why a model can't be loaded. Everybody who waited for the load gets the same one.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum LoadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the package of model {model:?} can't be used: {source}")]
    Package { model: ModelName, source: PackageError },
    #[error("the package of model {model:?} is refused: {source}")]
    Trust { model: ModelName, source: TrustError },
    #[error("the package of model {model:?} can't be used: {source}")]
    Model { model: ModelName, source: ModelError },
    #[error("the package in force for model {model:?} calls itself {found:?}")]
    Name { model: ModelName, found: ModelName },
    #[error("model {0:?} is not served here")]
    NotServed(ModelName),
    #[error("loading model {0:?} was interrupted")]
    Interrupted(ModelName),
}

impl LoadError {
    /// Whether a client asked for what is not there: nothing is wrong with the function then.
    fn is_unknown_model(&self) -> bool {
        matches!(self, Self::Store(StoreError::UnknownModel { .. }))
    }

    fn of(model: &ModelName, source: OpenError) -> Self {
        let model = model.clone();
        match source {
            OpenError::Package(source) => Self::Package { model, source },
            OpenError::Trust(source) => Self::Trust { model, source },
        }
    }

    /// Whether the same package would be refused again.
    fn is_of_package(&self) -> bool {
        match self {
            Self::Package { .. } | Self::Model { .. } | Self::Name { .. } => true,
            Self::Trust { source, .. } => source.is_final(),
            Self::Store(_) | Self::NotServed(_) | Self::Interrupted(_) => false,
        }
    }
}

type Outcome = Result<Arc<Model>, Arc<LoadError>>;

/// One model of the store.
#[derive(Debug)]
pub(super) struct Cell {
    name: ModelName,
    store: Arc<Store>,
    gate: Arc<Gate>,
    /// How long a pointer is taken to be what it was; `None` means for ever.
    refresh: Option<Duration>,
    model: ArcSwapOption<Model>,
    work: Mutex<Work>,
}

#[derive(Debug)]
struct Work {
    /// The load that is under way; its outcome arrives in the channel.
    loading: Option<watch::Receiver<Option<Outcome>>>,
    /// When the pointer was last looked at, or began to be.
    checked: Instant,
    /// Whether it is being looked at: a slow look must not overtake, or be overtaken by, another.
    refreshing: bool,
    /// A package that failed to load, so that it is not tried and reported again at every look.
    refused: Option<Digest>,
}

impl Cell {
    pub(super) fn new(name: ModelName, store: Arc<Store>, gate: Arc<Gate>, refresh: Option<Duration>) -> Arc<Self> {
        let work = Work { loading: None, checked: Instant::now(), refreshing: false, refused: None };
        Arc::new(Self { name, store, gate, refresh, model: ArcSwapOption::empty(), work: Mutex::new(work) })
    }

    /// The model if it is loaded.
    pub(super) fn loaded(&self) -> Option<Arc<Model>> {
        self.model.load_full()
    }

    /// The model, loaded if need be. A loaded one is answered at once; whether the store has a newer one is found out
    /// on the side.
    pub(super) async fn get(self: &Arc<Self>) -> Outcome {
        if let Some(model) = self.loaded() {
            self.refresh_if_due();
            return Ok(model);
        }
        let mut outcome = self.start_loading();
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(self.interrupted())),
            Err(_) => Err(self.interrupted()),
        }
    }

    /// Sees to it that the model is loaded, or being loaded.
    pub(super) fn begin(self: &Arc<Self>) {
        if self.loaded().is_none() {
            drop(self.start_loading());
        }
    }

    /// Joins the load that is under way, or starts one. It goes on if whoever asked goes away.
    fn start_loading(self: &Arc<Self>) -> watch::Receiver<Option<Outcome>> {
        let mut work = self.work();
        if let Some(loading) = &work.loading
            && loading.has_changed().is_ok()
        {
            return loading.clone();
        }
        let (sender, receiver) = watch::channel(None);
        work.loading = Some(receiver.clone());
        work.checked = Instant::now();
        let cell = Arc::clone(self);
        tokio::spawn(async move {
            let outcome = cell.load().await.map_err(Arc::new);
            match &outcome {
                Ok(model) => cell.model.store(Some(Arc::clone(model))),
                Err(error) if error.is_unknown_model() => info!(model = %cell.name, "there is no such model"),
                Err(error) => error!(model = %cell.name, %error, "model not loaded"),
            }
            cell.work().loading = None;
            sender.send_replace(Some(outcome));
        });
        receiver
    }

    fn refresh_if_due(self: &Arc<Self>) {
        let Some(refresh) = self.refresh else { return };
        {
            let mut work = self.work();
            if work.refreshing || work.checked.elapsed() < refresh {
                return;
            }
            work.refreshing = true;
            work.checked = Instant::now();
        }
        let refreshing = Refreshing(Arc::clone(self));
        tokio::spawn(async move { refreshing.0.refresh().await });
    }

    /// Looks at the pointer; a package that is not the one in use is loaded beside it and swapped in.
    async fn refresh(&self) {
        let digest = match self.store.current(&self.name).await {
            Ok(digest) => digest,
            Err(error) => return error!(model = %self.name, %error, "pointer not read; serving the package in use"),
        };
        let in_use = self.loaded().map(|model| *model.digest());
        if in_use == Some(digest) || self.work().refused == Some(digest) {
            return;
        }
        match self.load_package(&digest, Arc::default()).await {
            Ok(model) => self.model.store(Some(model)),
            Err(error) => {
                if error.is_of_package() {
                    self.work().refused = Some(digest);
                }
                error!(model = %self.name, package = %digest, %error, "new package refused; serving the one in use");
            }
        }
    }

    async fn load(&self) -> Result<Arc<Model>, LoadError> {
        let timeline = Arc::new(Timeline::of_process());
        self.store.connect(&timeline).await?;
        let start = Instant::now();
        let digest = self.store.current(&self.name).await?;
        timeline.end(Step::Pointer, start);
        self.load_package(&digest, timeline).await
    }

    async fn load_package(&self, digest: &Digest, timeline: Arc<Timeline>) -> Result<Arc<Model>, LoadError> {
        let start = Instant::now();
        let file = self.store.package(&self.name, digest, &timeline).await?;
        let came = Instant::now();
        let unlocked = self.gate.unlock(&file, digest).await.map_err(|source| LoadError::of(&self.name, source))?;
        if unlocked.is_some() {
            timeline.end(Step::Decrypt, came);
        }
        let (name, digest) = (self.name.clone(), *digest);
        let (store, gate) = (Arc::clone(&self.store), Arc::clone(&self.gate));
        let planned = tokio::task::spawn_blocking(move || {
            let opened =
                gate.open(file, &digest, unlocked, &timeline).map_err(|source| LoadError::of(&name, source))?;
            if let Some(sealed) = opened.sealed {
                store.keep(Kept::Sealed(sealed));
            }
            let package = opened.package;
            let found = package.manifest().name.clone();
            if found != name {
                return Err(LoadError::Name { model: name, found });
            }
            Model::load_in(&package, timeline).map_err(|source| LoadError::Model { model: name, source })
        });
        let model = planned.await.map_err(|_| LoadError::Interrupted(self.name.clone()))??;
        info!(
            model = %self.name,
            package = %model.digest(),
            bytes = model.package_bytes(),
            load_ms = milliseconds(start.elapsed()),
            "package loaded"
        );
        Ok(Arc::new(model))
    }

    fn interrupted(&self) -> Arc<LoadError> {
        Arc::new(LoadError::Interrupted(self.name.clone()))
    }

    fn work(&self) -> std::sync::MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one look at the pointer that is under way.
struct Refreshing(Arc<Cell>);

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.0.work().refreshing = false;
    }
}
