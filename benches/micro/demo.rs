//! The demo models of the checkout, as the micro-benchmarks need them.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use emberlite::model::{Digest, Package, PackageBytes};
use serde_json::Value;

/// The demo models' names.
pub(crate) const NAMES: [&str; 3] = ["diagnosis", "credit", "digits"];
/// How many rows a large request has.
pub(crate) const MANY: usize = 64;

/// A demo model's package, as it lies in the store.
#[derive(Debug)]
pub(crate) struct Demo {
    pub(crate) bytes: PackageBytes,
    pub(crate) digest: Digest,
}

impl Demo {
    /// Reads the package in force.
    pub(crate) fn read(name: &str) -> Result<Self> {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the benchmarks lie in a checkout")?;
        let folder = checkout.join("models").join(name);
        let pointer: Value = serde_json::from_slice(&fs::read(folder.join("current.json"))?)?;
        let digest: Digest = pointer["digest"].as_str().context("the pointer has no digest")?.parse()?;
        Ok(Self { bytes: fs::read(folder.join(format!("{digest}.ember")))?.into(), digest })
    }

    /// Opens it as a function does.
    pub(crate) fn open(&self) -> Result<Package> {
        Ok(Package::open_as(self.bytes.clone(), &self.digest)?)
    }
}

/// The inputs of a request of one row and of one of [`MANY`], made of a package's examples.
#[allow(dead_code, reason = "each benchmark is a program of its own, and not all ask something")]
pub(crate) fn inputs(package: &Package) -> Result<[(usize, Value); 2]> {
    let examples = &package.manifest().examples;
    let first = examples.first().context("the package has no examples")?;
    let many = examples.iter().cycle().take(MANY).map(|example| example.input.clone()).collect();
    Ok([(1, first.input.clone()), (MANY, Value::Array(many))])
}
