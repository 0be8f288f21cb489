//! The models of a store that are served, each in its cell.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tracing::error;

use super::cell::{Cell, LoadError};
use super::only::Only;
use super::{Model, ModelName};
use crate::store::{Store, StoreError};
use crate::trust::{Gate, Requirements};

/// The models that are served.
#[derive(Debug)]
pub struct Models {
    store: Arc<Store>,
    gate: Arc<Gate>,
    default: Option<ModelName>,
    /// What answers where no model is named and there is no default.
    only: Arc<Only>,
    /// `None` serves every model of the store.
    served: Option<Vec<ModelName>>,
    refresh: Option<Duration>,
    preload: bool,
    cells: RwLock<HashMap<ModelName, Arc<Cell>>>,
}

/// What is known of a served model without loading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelStatus {
    /// Its name.
    pub name: ModelName,
    /// Whether it is loaded.
    pub loaded: bool,
    /// Whether it answers where no model is named.
    pub default: bool,
}

impl Models {
    /// Serves models of `store`; nothing is loaded before it is asked for.
    ///
    /// `served` of `None` means every model there is. `default` answers where no model is named. A pointer, and which
    /// model is the only one, is looked at again after `refresh`, never for `None`.
    pub fn new(
        store: Store,
        served: Option<Vec<ModelName>>,
        default: Option<ModelName>,
        refresh: Option<Duration>,
    ) -> Self {
        let store = Arc::new(store);
        let only = Only::new(Arc::clone(&store), refresh);
        let gate = Arc::new(Gate::new(Requirements::default()));
        Self { store, gate, default, only, served, refresh, preload: false, cells: RwLock::default() }
    }

    /// Has the default model loaded before it is asked for: [`Models::preload`] does it, and readiness waits for it.
    #[must_use]
    pub fn with_preload(self, preload: bool) -> Self {
        Self { preload, ..self }
    }

    /// Takes only packages that are as these want them.
    #[must_use]
    pub fn with_requirements(self, requirements: Requirements) -> Self {
        Self { gate: Arc::new(Gate::new(requirements)), ..self }
    }

    /// Loads the default model, if it is to be loaded before it is asked for. Where that fails the log says why, and the
    /// next request for it tries again.
    pub async fn preload(&self) {
        if !self.preload {
            return;
        }
        match self.default_name().await {
            Ok(Some(name)) => drop(self.get(&name).await),
            Ok(None) => {}
            Err(error) => error!(%error, "models not listed; none is loaded before it is asked for"),
        }
    }

    /// The default model, where it is to be loaded before it is asked for and is not: from now on it is being loaded.
    ///
    /// # Errors
    /// A store that can't be listed.
    pub async fn still_loading(&self) -> Result<Option<ModelName>, StoreError> {
        let missing = |model: &ModelStatus| self.preload && model.default && !model.loaded;
        let Some(model) = self.list().await?.into_iter().find(missing) else { return Ok(None) };
        self.cell(&model.name).begin();
        Ok(Some(model.name))
    }

    /// Begins to keep what was downloaded for the next start: to be called when an answer is out.
    pub fn keep_downloaded(&self) {
        self.store.keep_downloaded();
    }

    /// The model of this name, loaded if need be.
    ///
    /// # Errors
    /// A model that is not served, not there, or can't be loaded.
    pub async fn get(&self, name: &ModelName) -> Result<Arc<Model>, Arc<LoadError>> {
        if let Some(served) = &self.served
            && !served.contains(name)
        {
            return Err(Arc::new(LoadError::NotServed(name.clone())));
        }
        let cell = self.cell(name);
        let outcome = cell.get().await;
        if outcome.is_err() {
            self.forget(name, &cell);
        }
        outcome
    }

    /// The models that are loaded, by name.
    pub fn loaded(&self) -> Vec<Arc<Model>> {
        let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
        let mut models: Vec<_> = cells.values().filter_map(|cell| cell.loaded()).collect();
        models.sort_by(|one, other| one.manifest().name.cmp(&other.manifest().name));
        models
    }

    /// The model that answers where none is named: the default, else the only one there is, which the store is not asked
    /// for each time.
    ///
    /// # Errors
    /// A store that can't be listed.
    pub async fn default_name(&self) -> Result<Option<ModelName>, StoreError> {
        if self.default.is_some() {
            return Ok(self.default.clone());
        }
        match self.served.as_deref() {
            None => self.only.get().await,
            Some([only]) => Ok(Some(only.clone())),
            Some(_) => Ok(None),
        }
    }

    /// Every model that is served.
    ///
    /// # Errors
    /// A store that can't be listed.
    pub async fn list(&self) -> Result<Vec<ModelStatus>, StoreError> {
        let names = self.names().await?;
        let only = names.len() == 1;
        let status = |name: ModelName| ModelStatus {
            loaded: self.known(&name).is_some_and(|cell| cell.loaded().is_some()),
            default: self.default.as_ref().map_or(only, |default| *default == name),
            name,
        };
        Ok(names.into_iter().map(status).collect())
    }

    async fn names(&self) -> Result<Vec<ModelName>, StoreError> {
        match &self.served {
            Some(served) => Ok(served.clone()),
            None => self.store.list().await,
        }
    }

    fn cell(&self, name: &ModelName) -> Arc<Cell> {
        if let Some(cell) = self.known(name) {
            return cell;
        }
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Cell::new(name.clone(), Arc::clone(&self.store), Arc::clone(&self.gate), self.refresh);
        Arc::clone(cells.entry(name.clone()).or_insert_with(new))
    }

    fn known(&self, name: &ModelName) -> Option<Arc<Cell>> {
        self.cells.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Drops a cell that holds nothing: whoever asks for names that are not there must not fill the memory.
    fn forget(&self, name: &ModelName, cell: &Arc<Cell>) {
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        if cell.loaded().is_none() && cells.get(name).is_some_and(|known| Arc::ptr_eq(known, cell)) {
            cells.remove(name);
        }
    }
}
