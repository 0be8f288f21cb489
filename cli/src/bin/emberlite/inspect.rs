//! `emberlite inspect`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use emberlite_cli::{inspect, trust};

use crate::output::{print, write_line};

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// A package (.ember)
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Load it as a function does, and show where the time goes
    #[arg(long)]
    load: bool,
    /// Print the recipe that it was packed by: a pack.toml that gives it again
    #[arg(long, conflicts_with_all = ["load", "json"])]
    recipe: bool,
    /// A key to trust: a .pub file of `emberlite keygen`, NAME=KEY, or a public key (repeatable) [default:
    /// EMBER_TRUSTED_KEYS]
    #[arg(long, value_name = "KEY")]
    trust: Vec<String>,
    /// What decrypts the package: a key's file, env:NAME or kms:KEY [default: EMBER_PACKAGE_KEY]
    #[arg(long)]
    key: Option<String>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(super) fn run(self) -> Result<()> {
        let requirements = trust::requirements(&self.trust, self.key.as_deref())?;
        if self.recipe {
            return write_line(&inspect::recipe(&self.file, &requirements)?);
        }
        if self.load {
            return print(&inspect::load(&self.file, &requirements)?, self.json);
        }
        print(&inspect::inspect(&self.file, &requirements)?, self.json)
    }
}
