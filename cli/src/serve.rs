//! `emberlite serve`: models on one port, with a page to try them.

mod page;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use emberlite::config::Config;
use emberlite::store::{Location, S3Settings, Store};
use emberlite::{adapter, api, telemetry};

use crate::pull::Address;
use crate::{interrupt, push, source, trust};

/// What to serve, and where.
#[derive(Debug)]
pub struct Request {
    /// Packages, model files, recipe folders, or one store; none for the demo models of the checkout.
    pub sources: Vec<String>,
    /// The address to listen on.
    pub host: String,
    /// The port to listen on.
    pub port: u16,
    /// The URL of the queue to read beside that.
    pub queue: Option<String>,
}

/// Serves until the process is told to stop.
///
/// # Errors
/// A source that can't be served, a wrong variable, or an address that can't be listened on.
pub async fn serve(request: Request) -> Result<()> {
    // Lives as long as the server: it holds what was packed on the way.
    let packed = tempfile::tempdir().context("can't make a temporary folder")?;
    interrupt::remove_folder(packed.path());
    let store = store(&request.sources, packed.path()).await?;
    let mut settings =
        HashMap::from([("EMBER_STORE", store), ("EMBER_HOST", request.host), ("PORT", request.port.to_string())]);
    let reads_queue = request.queue.is_some();
    settings.extend(request.queue.map(|queue| ("EMBER_QUEUE_URL", queue)));
    if std::env::var_os("EMBER_LOG_FORMAT").is_none() {
        settings.insert("EMBER_LOG_FORMAT", "text".to_owned());
    }
    let config = Config::read(|name| settings.get(name).cloned().or_else(|| std::env::var(name).ok()))?;
    telemetry::start(&config.log);
    let function = api::all(&config);
    tokio::spawn(function.preload());
    let routes = function.routes.clone().merge(page::routes());
    interrupt::hand_over();
    let served = if reads_queue {
        adapter::serve_queue(routes, &function, &config).await
    } else {
        adapter::serve(routes, &config.host, config.port).await
    };
    served.map_err(anyhow::Error::msg)
}

/// The store to serve: the one named, the checkout, or a temporary one with what the other sources make.
async fn store(sources: &[String], packed: &Path) -> Result<String> {
    let [first, ..] = sources else {
        ensure!(
            is_store(Path::new(".")),
            "there is nothing to serve here: run it in a checkout of Emberlite for the demo models, or name a package, \
             a model file or a store"
        );
        return Ok(".".to_owned());
    };
    if first.starts_with("s3://") || is_store(Path::new(first)) {
        ensure!(sources.len() == 1, "a store is served alone: got {} sources", sources.len());
        return Ok(first.clone());
    }
    let store = Store::new(Location::Folder(packed.to_owned()));
    let requirements = trust::requirements(&[], None)?;
    for source in sources {
        if Address::is_meant(source) {
            source::check_model(Path::new(source))?;
        }
        if source.contains("://") {
            Location::parse(source, S3Settings::default())?;
            bail!("a store is served alone: got {} sources", sources.len());
        }
        push::push(&PathBuf::from(source), &store, &requirements).await?;
    }
    Ok(packed.display().to_string())
}

/// Whether a folder holds a model that is in force.
fn is_store(folder: &Path) -> bool {
    let Ok(models) = folder.join("models").read_dir() else { return false };
    models.filter_map(Result::ok).any(|model| model.path().join("current.json").is_file())
}
