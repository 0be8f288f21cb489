//! The runtimes of a function that consumes: Lambda hands it events; elsewhere they are pushed to it by HTTP, and it reads a
//! queue if it is told one.

mod azure;
mod events;
mod invoke;
mod poll;
mod push;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;

use super::{function_compute, http as plain, lambda};
use crate::api::{self, ApiError, Function};
use crate::config::{Config, ConfigError, Runtime};
use crate::consume::Consumer;

/// What the handlers of pushed events share.
#[derive(Clone, Debug)]
struct Receiver {
    consumer: Arc<Consumer>,
    max_body_bytes: usize,
}

impl Receiver {
    /// The body of a request.
    ///
    /// # Errors
    /// One that is too large, compressed, or broken off.
    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
        api::read_body(headers, body, self.max_body_bytes).await
    }
}

/// Serves `routes` and reads the queue of the configuration with the models of `function`, until SIGTERM or SIGINT; what is
/// under way is finished first.
///
/// # Errors
/// A configuration without a queue or a place for results, or an address that can't be listened on, in words.
pub async fn serve_queue(routes: Router, function: &Function, config: &Config) -> Result<(), String> {
    let consumer = Consumer::new(config, function).map_err(|error| error.to_string())?;
    let queue = config.consume.queue.clone().ok_or_else(|| ConfigError::without_queue().to_string())?;
    let reading = poll::poll(Arc::new(consumer), queue);
    tokio::try_join!(reading, plain::serve(routes, &config.host, config.port)).map(drop)
}

/// Runs the function until its runtime ends it.
///
/// # Errors
/// As [`serve_queue`], or a runtime interface that can't be spoken to. Only without Lambda and without a queue results
/// need no place of their own.
pub(super) async fn run(function: Function, config: &Config) -> Result<(), String> {
    let preload = tokio::spawn(function.preload());
    if lambda::is_runtime() {
        let consumer = Consumer::new(config, &function).map_err(|error| error.to_string())?;
        lambda::wait_for(preload).await;
        return events::run(Arc::new(consumer)).await;
    }
    let consumer = Arc::new(Consumer::that_may_answer(config, &function));
    let receiver = Receiver { consumer, max_body_bytes: config.max_body_bytes };
    let pushed = push::routes(receiver.clone());
    let routes = match config.runtime {
        Runtime::Plain => function.with_routes(pushed),
        Runtime::FunctionCompute => {
            function_compute::around(function.with_routes(pushed.merge(invoke::routes(receiver))), &function)
        }
        Runtime::AzureFunctions => function.with_routes(pushed.merge(azure::routes(receiver))),
    };
    match config.consume.queue {
        Some(_) => serve_queue(routes, &function, config).await,
        None => plain::serve(routes, &config.host, config.port).await,
    }
}
