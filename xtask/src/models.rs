//! `cargo xtask models`: packs the demo models again, into the checkout, which is itself a store.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::steps::Steps;
use crate::workspace::{self, Workspace, succeed};

#[derive(Debug, Args)]
pub(crate) struct Request {
    /// Only these models [default: every folder of models/ with a recipe]
    models: Vec<String>,
}

/// Packs and pushes each model, then removes the packages that are no longer in force.
///
/// # Errors
/// Any model that could not be packed, after all were tried.
pub(crate) fn repack(workspace: &Workspace, request: &Request) -> Result<()> {
    let folders = folders(workspace, &request.models)?;
    let mut steps = Steps::default();
    if steps.run("build", || succeed(&mut workspace.cargo(workspace::BUILD))) {
        for folder in &folders {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            steps.run(&name, || repack_one(workspace, &name, folder));
        }
    }
    steps.finish()
}

fn folders(workspace: &Workspace, chosen: &[String]) -> Result<Vec<PathBuf>> {
    let models = workspace.path("models");
    let entries = fs::read_dir(&models).context("can't read models/")?;
    let mut found: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    found.retain(|folder| folder.join("pack.toml").is_file());
    found.sort();
    if chosen.is_empty() {
        return Ok(found);
    }
    if let Some(unknown) = chosen.iter().find(|name| !found.contains(&models.join(name))) {
        bail!("models/{unknown} has no pack.toml");
    }
    found.retain(|folder| chosen.iter().any(|name| folder.ends_with(name)));
    Ok(found)
}

fn repack_one(workspace: &Workspace, name: &str, folder: &Path) -> Result<()> {
    // The build puts the command beside this program.
    let emberlite = std::env::current_exe()?.with_file_name("emberlite");
    let package = std::env::temp_dir().join(format!("emberlite-{}-{name}.ember", std::process::id()));
    let pack = || succeed(workspace.command(&emberlite).arg("pack").arg(folder).arg("--output").arg(&package));
    let push = || succeed(workspace.command(&emberlite).arg("push").arg(&package).args(["--store", "."]));
    let pushed = pack().and_then(|()| push());
    drop(fs::remove_file(&package));
    pushed?;
    remove_old(folder)
}

/// Removes the packages that the pointer does not name.
fn remove_old(folder: &Path) -> Result<()> {
    let pointer = fs::read_to_string(folder.join("current.json")).context("the push left no current.json")?;
    for entry in fs::read_dir(folder)?.filter_map(Result::ok) {
        let path = entry.path();
        let digest = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        if path.extension() == Some(OsStr::new("ember")) && !pointer.contains(digest) {
            fs::remove_file(&path).with_context(|| format!("can't remove {}", path.display()))?;
        }
    }
    Ok(())
}
