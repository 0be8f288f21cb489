//! The runtimes of a function that consumes: Lambda hands it events; elsewhere it reads a queue, and answers HTTP beside that.

mod events;
mod poll;

use std::sync::Arc;

use axum::Router;

use super::{http, lambda};
use crate::api::Function;
use crate::config::{Config, ConfigError};
use crate::consume::Consumer;

/// Serves `routes` and reads the queue of the configuration with the models of `function`, until SIGTERM or SIGINT; what is
/// under way is finished first.
///
/// # Errors
/// A configuration without a queue or a place for results, or an address that can't be listened on, in words.
pub async fn serve_queue(routes: Router, function: &Function, config: &Config) -> Result<(), String> {
    let consumer = Consumer::new(config, function).map_err(|error| error.to_string())?;
    let queue = config.consume.queue.clone().ok_or_else(|| ConfigError::without_queue().to_string())?;
    let reading = poll::poll(Arc::new(consumer), queue);
    tokio::try_join!(reading, http::serve(routes, &config.host, config.port)).map(drop)
}

/// Runs the function until its runtime ends it.
///
/// # Errors
/// As [`serve_queue`], or a runtime interface that can't be spoken to.
pub(super) async fn run(function: Function, config: &Config) -> Result<(), String> {
    let preload = tokio::spawn(function.preload());
    if !lambda::is_runtime() {
        return serve_queue(function.routes.clone(), &function, config).await;
    }
    let consumer = Consumer::new(config, &function).map_err(|error| error.to_string())?;
    lambda::wait_for(preload).await;
    events::run(Arc::new(consumer)).await
}
