//! What the contenders are on disk, and the versions the peer is made of.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::contender::Programs;
use crate::table::{Row, Unit};

/// The distributions whose versions are told with the table.
const TOLD: [&str; 4] = ["flask", "waitress", "onnxruntime", "numpy"];

/// What the peer consists of, without the Python interpreter.
#[derive(Debug)]
pub(crate) struct Installed {
    packages: BTreeMap<String, (String, u64)>,
}

impl Installed {
    /// Asks the peer's Python.
    pub(crate) fn ask(python: &Path, script: &Path) -> Result<Self> {
        let hint = || format!("{} lacks the peer's packages; `cargo xtask setup` installs them", python.display());
        let output = Command::new(python).arg(script).output().with_context(hint)?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let listed: BTreeMap<String, Value> = serde_json::from_slice(&output.stdout)?;
        ensure!(TOLD.iter().chain(&["boto3"]).all(|name| listed.contains_key(*name)), hint());
        let package = |value: &Value| Some((value["version"].as_str()?.to_owned(), value["bytes"].as_u64()?));
        let packages = listed.iter().map(|(name, value)| Some((name.clone(), package(value)?))).collect::<Option<_>>();
        Ok(Self { packages: packages.context("the list of packages is damaged")? })
    }

    /// The line of sizes on disk.
    pub(crate) fn row(&self, programs: &Programs) -> Result<Row> {
        let path = &programs.predict;
        let ours = fs::metadata(path).with_context(|| format!("can't read {}", path.display()))?.len();
        let peer: u64 = self.packages.values().map(|(_, bytes)| bytes).sum();
        Ok(Row::new("size on disk", "any", Unit::Megabytes, vec![ours as f64], vec![peer as f64]))
    }

    /// The versions that matter, in a line.
    pub(crate) fn versions(&self) -> String {
        let version = |name: &&str| Some(format!("{name} {}", self.packages.get(*name)?.0));
        TOLD.iter().filter_map(version).collect::<Vec<_>>().join(", ")
    }
}
