//! `emberlite push`: a package goes into a store and becomes the one in force.

use std::path::Path;

use anyhow::{Context as _, Result};
use emberlite::model::{Digest, Hashed, ModelName, Package, PackageBytes};
use emberlite::store::Store;
use emberlite::trust::{Container, KeyName, PublicKey, Requirements};
use serde::Serialize;

use crate::pack::{self, Request};
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::{source as path, trust};

/// What a push did.
#[derive(Debug, Serialize)]
pub struct Pushed {
    model: ModelName,
    digest: Digest,
    package_bytes: usize,
    store: String,
    /// The package that was in force before.
    previous: Option<Digest>,
    /// Who signed it; of an encrypted package, as far as that could be seen.
    signed_by: Vec<PublicKey>,
    encrypted_with: Option<KeyName>,
    /// Whether each byte was checked: there was a key for a package that is encrypted.
    checked: bool,
}

/// What is to be pushed.
struct Ready {
    model: ModelName,
    bytes: PackageBytes,
    signed_by: Vec<PublicKey>,
    encrypted_with: Option<KeyName>,
    checked: bool,
}

/// Pushes a package file, or what `emberlite pack` makes of any other source. One that is encrypted is looked into where
/// `requirements` have its key.
///
/// # Errors
/// A source that is no package and makes none, a store that refuses, or a push of somebody else's at the same time.
pub async fn push(source: &Path, store: &Store, requirements: &Requirements) -> Result<Pushed> {
    let Ready { model, bytes, signed_by, encrypted_with, checked } = ready(source, requirements).await?;
    let digest = *Hashed::of(bytes.clone()).digest();
    let progress = Progress::start(format!("pushing {model} to {store}"));
    let pushed = store.push(&model, &digest, bytes.clone()).await?;
    drop(progress);
    Ok(Pushed {
        model,
        digest,
        package_bytes: bytes.len(),
        store: store.to_string(),
        previous: pushed.previous,
        signed_by,
        encrypted_with,
        checked,
    })
}

/// Opens a package file, or packs a model file or a recipe's folder.
async fn ready(source: &Path, requirements: &Requirements) -> Result<Ready> {
    let is_package = source.extension().is_some_and(|extension| extension == "ember");
    if !is_package {
        let packed = pack::pack(&Request { recipe: Recipe::find(source)?, ..Request::default() })?.accepted()?;
        return Ok(Ready::of(&Package::open(packed.bytes.into())?));
    }
    let bytes = path::bytes_of_package(source)?;
    if !Container::is_one(&bytes) {
        return Ok(Ready::of(&Package::open(bytes).with_context(|| source.display().to_string())?));
    }
    let container = Container::read(&bytes).with_context(|| source.display().to_string())?;
    let (model, key) = (container.model().clone(), Some(container.key().clone()));
    if !trust::has_key_for(&container, requirements) {
        return Ok(Ready { model, bytes, signed_by: Vec::new(), encrypted_with: key, checked: false });
    }
    let opened = trust::open(source, &trust::gate(requirements)).await?;
    Ok(Ready { bytes, encrypted_with: key, ..Ready::of(&opened.package) })
}

impl Ready {
    fn of(package: &Package) -> Self {
        let signed_by = package.signatures().iter().map(|signature| signature.key).collect();
        let (model, bytes) = (package.manifest().name.clone(), package.bytes().clone());
        Self { model, bytes, signed_by, encrypted_with: None, checked: true }
    }
}

impl std::fmt::Display for Pushed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { model, digest, store, previous, checked, .. } = self;
        if let Some(key) = self.encrypted_with.as_ref().filter(|_| !checked) {
            writeln!(f, "{model} is encrypted with {key}, which is not here: it was not looked into")?;
        }
        match previous {
            Some(previous) if previous == digest => write!(f, "{model}: {digest} is in force already in {store}"),
            Some(previous) => write!(f, "{model}: {digest} is in force in {store}, where {previous} was before"),
            None => write!(f, "{model}: {digest} is in force in {store}"),
        }
    }
}
