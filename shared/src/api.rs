//! The dialects: which paths a function answers, and how its requests, answers and errors look.

mod admission;
mod body;
mod classify;
mod compute;
mod dialect;
mod embed;
mod error;
mod generators;
mod inference;
pub(crate) mod jobs;
mod metrics;
mod models;
mod open_ai;
mod openapi;
mod predict;
mod rerank;
mod text;
mod timing;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use admission::Admission;
pub(crate) use body::{json_response, read as read_body};
use compute::Compute;
use dialect::Dialect;
pub use error::ApiError;
use generators::Generators;

use crate::config::Config;
use crate::model::Models;
use crate::store::Store;

/// What every handler shares.
#[derive(Debug)]
pub(crate) struct Api {
    models: Models,
    admission: Admission,
    compute: Compute,
    generators: Generators,
    max_body_bytes: usize,
}

/// A function: what it answers, and what it can do before it is asked.
#[derive(Debug)]
pub struct Function {
    /// What it answers.
    pub routes: Router,
    api: Arc<Api>,
}

impl Function {
    /// What answers requests that come another way than HTTP.
    pub(crate) fn api(&self) -> Arc<Api> {
        Arc::clone(&self.api)
    }

    /// Its routes with others, which share its limits and the look of its errors.
    pub(crate) fn with_routes(&self, others: Router) -> Router {
        let others = others.method_not_allowed_fallback(method_not_allowed);
        self.routes.clone().merge(limited(others, &self.api))
    }

    /// Waits until the model is loaded that answers where none is named, if there is one.
    ///
    /// # Errors
    /// A model that can't be loaded, or a store that can't be reached.
    pub(crate) async fn ready(api: &Api) -> Result<(), ApiError> {
        match api.models.default_name().await? {
            Some(name) => models::load(api, name.as_str()).await.map(drop),
            None => Ok(()),
        }
    }

    /// Loads the model that answers where none is named, unless the configuration says that its first request is to.
    /// A failure is logged; that request then tries again.
    pub fn preload(&self) -> impl Future<Output = ()> + Send + 'static {
        let api = Arc::clone(&self.api);
        async move { api.models.preload().await }
    }
}

/// When the answer to a request has to have ended; an extension of the request.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Instant);

/// The function `predict`: `/predict`, and what every function answers.
///
/// As with every function, nothing is loaded and no store is contacted before a request or [`Function::preload`] asks for
/// it.
pub fn predict(config: &Config) -> Function {
    function(config, &[openapi::PREDICT], predict::routes())
}

/// The function `embed`: `/v1/embeddings`, `/embed`, `/similarity`, `/rerank`, and what every function answers.
pub fn embed(config: &Config) -> Function {
    function(config, &[openapi::EMBED], embedding_routes())
}

/// The function `classify`: `/classify`, `/predict`, and what every function answers.
pub fn classify(config: &Config) -> Function {
    function(
        config,
        &[openapi::CLASSIFY, openapi::PREDICT],
        text::routes::<classify::Request>("/classify").merge(predict::routes()),
    )
}

/// The function `generate`: `/v1/chat/completions`, `/v1/completions`, and what every function answers.
pub fn generate(config: &Config) -> Function {
    function(config, &[openapi::GENERATE], open_ai::generation().merge(open_ai::models()))
}

/// The function `consume`: what every function answers over HTTP. The adapter brings its own requests, and adds the paths
/// that events are pushed to.
pub fn consume(config: &Config) -> Function {
    function(config, &[openapi::CONSUME], Router::new())
}

/// All functions in one: each model is asked for what it is for.
pub fn all(config: &Config) -> Function {
    let parts = [openapi::PREDICT, openapi::CLASSIFY, openapi::EMBED, openapi::GENERATE];
    let routes = text::routes::<classify::Request>("/classify")
        .merge(predict::routes())
        .merge(embedding_routes())
        .merge(open_ai::generation());
    function(config, &parts, routes)
}

fn embedding_routes() -> Router<Arc<Api>> {
    open_ai::embeddings()
        .merge(open_ai::models())
        .merge(text::routes::<embed::Request>("/embed"))
        .merge(text::routes::<embed::similarity::Request>("/similarity"))
        .merge(text::routes::<rerank::Request>("/rerank"))
}

/// What every function answers, `/models`, the Open Inference Protocol v2, `/healthz`, `/metrics` and `/openapi.json`, with what
/// is a function's own.
fn function(config: &Config, parts: &[openapi::Part], own: Router<Arc<Api>>) -> Function {
    let store = Store::new(config.store.clone()).with_cache(config.cache_folder.clone());
    let models = Models::new(store, config.models.clone(), config.default_model.clone(), config.refresh);
    let api = Arc::new(Api {
        models: models.with_preload(config.preload).with_requirements(config.trust.clone()),
        admission: Admission::new(config.max_requests),
        compute: Compute::new(config.threads),
        generators: Generators::new(config.generate),
        max_body_bytes: config.max_body_bytes,
    });
    let routes = Router::new()
        .route("/healthz", get(models::health))
        .route("/metrics", get(metrics::metrics))
        .route("/models", get(models::list))
        .route("/models/{model}", get(models::describe))
        .merge(openapi::routes(parts))
        .merge(inference::routes())
        .merge(own)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Arc::clone(&api));
    Function { routes: limited(routes, &api), api }
}

/// Routes that answer only so many requests at once.
fn limited(routes: Router, api: &Arc<Api>) -> Router {
    let routes = routes.layer(middleware::from_fn_with_state(Arc::clone(api), then_keep));
    routes.layer(middleware::from_fn_with_state(Arc::clone(api), admission::admit))
}

/// What was downloaded for an answer is kept only once the answer is there.
async fn then_keep(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let answer = next.run(request).await;
    api.models.keep_downloaded();
    answer
}

async fn not_found(request: Request) -> Response {
    refuse(&request, ApiError::not_found(request.uri().path()))
}

async fn method_not_allowed(request: Request) -> Response {
    refuse(&request, ApiError::method_not_allowed(request.method().as_str(), request.uri().path()))
}

/// An error in the dialect that the path belongs to.
fn refuse(request: &Request, error: ApiError) -> Response {
    Dialect::of_path(request.uri().path()).refusal(error).into_response()
}
