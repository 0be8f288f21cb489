//! `emberlite push`: a package goes into a store and becomes the one in force.

use std::path::Path;

use anyhow::{Context as _, Result};
use emberlite::model::{Digest, ModelName, Package, PackageBytes};
use emberlite::store::Store;
use serde::Serialize;

use crate::pack::{self, Request};
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::source as path;

/// What a push did.
#[derive(Debug, Serialize)]
pub struct Pushed {
    model: ModelName,
    digest: Digest,
    package_bytes: usize,
    store: String,
    /// The package that was in force before.
    previous: Option<Digest>,
}

/// Pushes a package file, or what `emberlite pack` makes of any other source.
///
/// # Errors
/// A source that is no package and makes none, a store that refuses, or a push of somebody else's at the same time.
pub async fn push(source: &Path, store: &Store) -> Result<Pushed> {
    let package = open(source)?;
    let (model, digest) = (package.manifest().name.clone(), *package.digest());
    let progress = Progress::start(format!("pushing {model} to {store}"));
    let pushed = store.push(&model, &digest, package.bytes().clone()).await?;
    drop(progress);
    Ok(Pushed {
        model,
        digest,
        package_bytes: package.size_bytes(),
        store: store.to_string(),
        previous: pushed.previous,
    })
}

/// Opens a package file, or packs a model file or a recipe's folder.
fn open(source: &Path) -> Result<Package> {
    let is_package = source.extension().is_some_and(|extension| extension == "ember");
    let bytes: PackageBytes = if is_package {
        path::bytes_of_package(source)?
    } else {
        pack::pack(&Request { recipe: Recipe::find(source)?, inputs: Vec::new() })?.bytes.into()
    };
    Package::open(bytes).with_context(|| source.display().to_string())
}

impl std::fmt::Display for Pushed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { model, digest, store, previous, .. } = self;
        match previous {
            Some(previous) if previous == digest => write!(f, "{model}: {digest} is in force already in {store}"),
            Some(previous) => write!(f, "{model}: {digest} is in force in {store}, where {previous} was before"),
            None => write!(f, "{model}: {digest} is in force in {store}"),
        }
    }
}
