//! `emberlite serve`.

use anyhow::Result;
use clap::{Args, ValueHint};
use emberlite_cli::serve;

use crate::runtime;

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Packages, model files, recipe folders, or one store [default: the demo models of the checkout]
    #[arg(value_hint = ValueHint::AnyPath)]
    sources: Vec<String>,
    /// The port to listen on; 0 picks a free one
    #[arg(long, env = "PORT", default_value_t = 8080)]
    port: u16,
    /// The address to listen on
    #[arg(long, env = "EMBER_HOST", default_value = "127.0.0.1")]
    host: String,
    /// The SQS queue to read beside that, as the function consume does; EMBER_RESULTS or EMBER_REPLY_QUEUE_URL tells where
    /// results go
    #[arg(long, env = "EMBER_QUEUE_URL", value_name = "URL")]
    queue: Option<String>,
}

impl Serve {
    pub(super) fn run(self) -> Result<()> {
        let Self { sources, host, port, queue } = self;
        runtime()?.block_on(serve::serve(serve::Request { sources, host, port, queue }))
    }
}
