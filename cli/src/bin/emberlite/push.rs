//! `emberlite push`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueHint};
use emberlite::store::{Location, S3Settings, Store};
use emberlite_cli::{push, trust};

use crate::output::print;
use crate::runtime;

#[derive(Debug, Args)]
pub(super) struct Push {
    /// A package (.ember), or a model file or recipe folder to pack on the way
    #[arg(value_hint = ValueHint::AnyPath)]
    source: PathBuf,
    /// A folder's path or s3://bucket/prefix
    #[arg(long, env = "EMBER_STORE", value_hint = ValueHint::DirPath)]
    store: String,
    #[command(flatten)]
    s3: S3,
    /// What looks into an encrypted package before it is pushed: a key's file, env:NAME or kms:KEY [default:
    /// EMBER_PACKAGE_KEY]
    #[arg(long)]
    key: Option<String>,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct S3 {
    /// The S3 endpoint where it is not AWS: MinIO, GCS, OSS, …
    #[arg(long, env = "EMBER_S3_ENDPOINT")]
    s3_endpoint: Option<String>,
    /// Whether the bucket is in the path of S3 requests [default: true with an endpoint]
    #[arg(long, env = "EMBER_S3_PATH_STYLE")]
    s3_path_style: Option<bool>,
}

impl Push {
    pub(super) fn run(self) -> Result<()> {
        let settings =
            S3Settings { endpoint: self.s3.s3_endpoint, path_style: self.s3.s3_path_style, ..S3Settings::default() };
        let store = Store::new(Location::parse(&self.store, settings)?);
        let requirements = trust::requirements(&[], self.key.as_deref())?;
        let pushed = runtime()?.block_on(push::push(&self.source, &store, &requirements))?;
        print(&pushed, self.json)
    }
}
