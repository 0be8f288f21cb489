//! The plain HTTP server: Cloud Run, Function Compute, a container, a laptop.

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::telemetry;

/// Serves until SIGTERM or SIGINT; requests that are under way are answered first.
///
/// # Errors
/// An address that can't be listened on, in words.
pub async fn serve(routes: Router, host: &str, port: u16) -> Result<(), String> {
    let listener =
        TcpListener::bind((host, port)).await.map_err(|error| format!("can't listen on {host}:{port}: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    info!(%address, "listening");
    let stopped = stopped()?;
    telemetry::cold_start::is_ready();
    axum::serve(listener, routes).with_graceful_shutdown(stopped).await.map_err(|error| error.to_string())
}

/// Ends with the first signal that asks the process to stop.
pub(super) fn stopped() -> Result<impl Future<Output = ()> + Send + 'static, String> {
    let listen = |kind| signal(kind).map_err(|error| format!("can't listen for signals: {error}"));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("stopping");
    })
}
