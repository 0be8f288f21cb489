//! What the server and its models are, and whether they are ready.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;

use super::{Answer, VERSION, check_version, fields};
use crate::api::{Api, ApiError, models};
use crate::model::{Dim, Dtype, TensorSpec};

pub(super) async fn server() -> Response {
    #[derive(Serialize)]
    struct Server {
        name: &'static str,
        version: &'static str,
        extensions: [&'static str; 1],
    }
    fields(&Server { name: "emberlite", version: env!("CARGO_PKG_VERSION"), extensions: ["binary_tensor_data"] })
}

pub(super) async fn live() -> Response {
    #[derive(Serialize)]
    struct Live {
        live: bool,
    }
    fields(&Live { live: true })
}

/// Ready means that the store answers, and that the model that is loaded at start is loaded.
pub(super) async fn ready(State(api): State<Arc<Api>>) -> Answer {
    #[derive(Serialize)]
    struct Ready {
        ready: bool,
    }
    match api.models.still_loading().await? {
        Some(model) => Err(ApiError::loading(&model).into()),
        None => Ok(fields(&Ready { ready: true })),
    }
}

/// A model is ready once it is loaded; asking loads it.
pub(super) async fn model_ready(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Answer {
    #[derive(Serialize)]
    struct Ready<'a> {
        name: &'a str,
        ready: bool,
    }
    models::load(&api, &name).await?;
    Ok(fields(&Ready { name: &name, ready: true }))
}

pub(super) async fn model_version_ready(
    state: State<Arc<Api>>,
    Path((name, version)): Path<(String, String)>,
) -> Answer {
    check_version(&name, &version)?;
    model_ready(state, Path(name)).await
}

pub(super) async fn model(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Answer {
    #[derive(Serialize)]
    struct Metadata<'a> {
        name: &'a str,
        versions: [&'static str; 1],
        platform: &'static str,
        inputs: Vec<TensorMetadata<'a>>,
        outputs: Vec<TensorMetadata<'a>>,
    }
    let model = models::load(&api, &name).await?;
    let manifest = model.manifest();
    Ok(fields(&Metadata {
        name: manifest.name.as_str(),
        versions: [VERSION],
        platform: "emberlite_tract",
        inputs: manifest.inputs.iter().map(TensorMetadata::of).collect(),
        outputs: manifest.outputs.iter().map(TensorMetadata::of).collect(),
    }))
}

pub(super) async fn model_version(state: State<Arc<Api>>, Path((name, version)): Path<(String, String)>) -> Answer {
    check_version(&name, &version)?;
    model(state, Path(name)).await
}

/// A tensor's metadata; a dimension that varies is -1.
#[derive(Serialize)]
struct TensorMetadata<'a> {
    name: &'a str,
    datatype: Dtype,
    shape: Vec<i64>,
}

impl<'a> TensorMetadata<'a> {
    fn of(spec: &'a TensorSpec) -> Self {
        let size = |dim: &Dim| match dim {
            Dim::Fixed(size) => i64::try_from(*size).unwrap_or(i64::MAX),
            Dim::Symbol(_) => -1,
        };
        Self { name: &spec.name, datatype: spec.dtype, shape: spec.shape.iter().map(size).collect() }
    }
}
