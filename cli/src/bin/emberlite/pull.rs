//! `emberlite pull`.

use std::num::NonZero;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use emberlite_cli::pull::{self, Address};

use crate::output::print;

/// Takes the files that a model is made of: its settings, its tokenizer, and one set of weights, if there is one in
/// safetensors. What breaks off goes on from there when the same command runs again
#[derive(Debug, Args)]
#[command(
    after_help = "Environment: HF_TOKEN is the token for private and gated repositories, HF_ENDPOINT another hub than \
                        https://huggingface.co, HTTPS_PROXY and NO_PROXY a proxy, SSL_CERT_FILE the certificates to trust."
)]
pub(super) struct Pull {
    /// A repository: hf://ORG/NAME, or hf://ORG/NAME@REVISION for a branch, a tag or a commit
    #[arg(value_name = "hf://ORG/NAME")]
    source: Address,
    /// The folder it goes to [default: NAME]
    #[arg(short, long, value_hint = ValueHint::DirPath)]
    output: Option<PathBuf>,
    /// The weights to take in the place of the usual ones, by names in which * stands for any text: '*Q4_0.gguf' (repeatable)
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// A file with the token, in the place of HF_TOKEN
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    token_file: Option<PathBuf>,
    /// How many files are downloaded at once
    #[arg(long, value_name = "N", default_value = "4")]
    jobs: NonZero<usize>,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

impl Pull {
    pub(super) fn run(self) -> Result<()> {
        let Self { source, output, include, token_file, jobs, json } = self;
        print(&pull::pull(&pull::Request { source, output, include, token_file, jobs })?, json)
    }
}
