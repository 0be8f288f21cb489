//! `emberlite completions`.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::Command;

/// How the scripts are used.
pub(super) const COMPLETIONS: &str = "\
For this shell alone:
  bash        source <(emberlite completions bash)
  zsh         source <(emberlite completions zsh)
  fish        emberlite completions fish | source
For all to come:
  bash        emberlite completions bash > ~/.local/share/bash-completion/completions/emberlite
  zsh         emberlite completions zsh > a file _emberlite in a folder of $fpath
  fish        emberlite completions fish > ~/.config/fish/completions/emberlite.fish
  powershell  emberlite completions powershell >> $PROFILE";

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Command::command(), "emberlite", &mut script);
        std::io::stdout().write_all(&script).context("can't write to standard output")
    }
}
