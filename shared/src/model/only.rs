//! The only model of a store, which answers where none is named: found by one listing, and looked for again on the side.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;
use tracing::error;

use super::ModelName;
use crate::store::{Store, StoreError};

/// The only model of a store, if it has just one.
#[derive(Debug)]
pub(super) struct Only {
    store: Arc<Store>,
    /// How long a listing is taken to be what it was; `None` means for ever.
    refresh: Option<Duration>,
    /// What was found, or is being found: all who ask meanwhile wait for it. One that found no model is replaced.
    search: Mutex<Arc<Search>>,
    /// Whether it is being looked for on the side.
    refreshing: AtomicBool,
}

/// One listing; when it was made, and what it found.
type Search = OnceCell<(Instant, Found)>;
type Found = Result<Option<ModelName>, StoreError>;
/// Boxed, since the compiler follows futures within futures only so deep.
type Listing<'a> = Pin<Box<dyn Future<Output = (Instant, Found)> + Send + 'a>>;

impl Only {
    pub(super) fn new(store: Arc<Store>, refresh: Option<Duration>) -> Arc<Self> {
        Arc::new(Self { store, refresh, search: Mutex::default(), refreshing: AtomicBool::new(false) })
    }

    /// The model. One that is known is answered at once; that there is none is found out anew each time.
    ///
    /// # Errors
    /// A store that can't be listed.
    pub(super) async fn get(self: &Arc<Self>) -> Found {
        let search = Arc::clone(&self.search());
        let list = || -> Listing<'_> { Box::pin(async { (Instant::now(), self.list().await) }) };
        let (listed, found) = search.get_or_init(list).await;
        match found {
            Ok(Some(_)) => self.refresh_if_due(*listed),
            _ => self.replace(&search, Arc::default()),
        }
        found.clone()
    }

    async fn list(&self) -> Found {
        let mut names = self.store.list().await?;
        Ok(names.pop().filter(|_| names.is_empty()))
    }

    fn refresh_if_due(self: &Arc<Self>, listed: Instant) {
        let is_due = self.refresh.is_some_and(|refresh| listed.elapsed() >= refresh);
        if !is_due || self.refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let refreshing = Refreshing(Arc::clone(self));
        tokio::spawn(async move { refreshing.0.look_again().await });
    }

    /// Lists the store; where that fails, what is known goes on being the answer.
    async fn look_again(&self) {
        let known = Arc::clone(&self.search());
        let listed = Instant::now();
        let found = match self.list().await {
            Ok(None) => return self.replace(&known, Arc::default()),
            Ok(found) => Ok(found),
            Err(error) => {
                error!(%error, "models not listed; the one that was the only one goes on answering");
                known.get().map_or(Ok(None), |(_, found)| found.clone())
            }
        };
        self.replace(&known, Arc::new(Search::new_with(Some((listed, found)))));
    }

    /// Takes `next` for `known`, unless somebody else replaced that.
    fn replace(&self, known: &Arc<Search>, next: Arc<Search>) {
        let mut search = self.search();
        if Arc::ptr_eq(&search, known) {
            *search = next;
        }
    }

    fn search(&self) -> std::sync::MutexGuard<'_, Arc<Search>> {
        self.search.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one look at the store that is under way.
struct Refreshing(Arc<Only>);

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.0.refreshing.store(false, Ordering::Release);
    }
}
