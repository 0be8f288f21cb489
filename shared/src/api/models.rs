//! `GET /models`, `GET /models/{model}` and `GET /healthz`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::body::json_response;
use super::{Api, ApiError};
use crate::model::{
    Digest, Dtype, Example, GenerateSpec, ImageSpec, Manifest, Model, ModelName, Perplexity, Problem, SamplingDefaults,
    Task, TensorSpec,
};
use crate::ops::Pooling;
use crate::task::{classify, embed};
use crate::telemetry::cold_start::{Span, Step, Timeline};
use crate::telemetry::milliseconds;

/// Answers as soon as the process can.
pub(super) async fn health() -> Response {
    #[derive(Serialize)]
    struct Health {
        status: &'static str,
    }
    json_response(StatusCode::OK, &Health { status: "ok" })
}

pub(super) async fn list(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct Status {
        name: ModelName,
        loaded: bool,
        default: bool,
    }
    #[derive(Serialize)]
    struct List {
        models: Vec<Status>,
    }
    let known = api.models.list().await?;
    let models =
        known.into_iter().map(|known| Status { name: known.name, loaded: known.loaded, default: known.default });
    Ok(json_response(StatusCode::OK, &List { models: models.collect() }))
}

pub(super) async fn describe(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<Response, ApiError> {
    let model = load(&api, &name).await?;
    Ok(json_response(StatusCode::OK, &Description::of(&model, &api)))
}

/// The model that a path or a body names.
pub(super) async fn load(api: &Api, name: &str) -> Result<Arc<Model>, ApiError> {
    let name: ModelName =
        name.parse().map_err(|error| ApiError::unknown_model(format!("there is no such model: {error}")))?;
    Ok(api.models.get(&name).await?)
}

/// The name of the model that a path names, or a body, or else the default.
pub(super) async fn choose(api: &Api, path: Option<&str>, body: Option<&str>) -> Result<String, ApiError> {
    match (path, body) {
        (Some(path), Some(body)) if path != body => {
            Err(ApiError::bad_request(format!("the path names model {path:?}, the body names model {body:?}")))
        }
        (Some(name), _) | (None, Some(name)) => Ok(name.to_owned()),
        (None, None) => {
            let name = api.models.default_name().await?.ok_or_else(|| {
                ApiError::bad_request(
                    "several models are served here: name one in the path, /models/NAME/…, or in the body",
                )
            })?;
            Ok(name.to_string())
        }
    }
}

/// What a client may want to know of a model.
#[derive(Serialize)]
struct Description<'a> {
    name: &'a ModelName,
    digest: &'a Digest,
    package_bytes: usize,
    task: Task,
    description: &'a str,
    licence: &'a str,
    labels: &'a [String],
    inputs: &'a [TensorSpec],
    outputs: &'a [TensorSpec],
    features: Vec<FeatureDescription<'a>>,
    image: Option<&'a ImageSpec>,
    text: Option<TextDescription<'a>>,
    generate: Option<GenerateDescription<'a>>,
    examples: &'a [Example],
    /// Absent until the model has run.
    cold_start: Option<ColdStart>,
}

/// Where the time went until the model's first run, in milliseconds.
#[derive(Serialize)]
struct ColdStart {
    /// Without what was waited for a request.
    total_ms: f64,
    steps: Vec<ColdStartStep>,
}

#[derive(Serialize)]
struct ColdStartStep {
    step: Step,
    start_ms: f64,
    took_ms: f64,
}

impl ColdStart {
    fn of(timeline: &Timeline) -> Option<Self> {
        let step = |span: Span| ColdStartStep {
            step: span.step,
            start_ms: milliseconds(span.start),
            took_ms: milliseconds(span.took),
        };
        timeline.is_whole().then(|| Self {
            total_ms: milliseconds(timeline.total()),
            steps: timeline.spans().into_iter().map(step).collect(),
        })
    }
}

/// How a model takes texts, and what its answers are.
#[derive(Serialize)]
struct TextDescription<'a> {
    max_tokens: usize,
    pooling: Option<Pooling>,
    normalize: bool,
    /// How many components a vector has; absent where the model makes none.
    dimensions: Option<usize>,
    problem: Option<Problem>,
    prompts: &'a BTreeMap<String, String>,
    default_prompt: Option<&'a str>,
}

impl<'a> TextDescription<'a> {
    fn of(manifest: &'a Manifest) -> Option<Self> {
        let spec = manifest.text.as_ref()?;
        let dimensions = (manifest.task == Task::Embed).then(|| embed::dimensions(manifest));
        let classifies = matches!(manifest.task, Task::Classify);
        Some(Self {
            max_tokens: spec.max_tokens,
            pooling: spec.pooling,
            normalize: spec.normalize,
            dimensions: dimensions.flatten(),
            problem: classifies.then(|| classify::problem(manifest)),
            prompts: &spec.prompts,
            default_prompt: spec.default_prompt.as_deref(),
        })
    }
}

/// How a model writes.
#[derive(Serialize)]
struct GenerateDescription<'a> {
    /// The longest prompt and text together.
    context_tokens: usize,
    vocabulary: usize,
    /// Whether it has a chat template.
    chat: bool,
    /// How tokens are chosen where a request does not say.
    sampling: &'a SamplingDefaults,
    perplexity: Option<&'a Perplexity>,
}

impl<'a> GenerateDescription<'a> {
    fn of(spec: &'a GenerateSpec, api: &Api) -> Self {
        Self {
            context_tokens: api.generators.context_tokens(spec),
            vocabulary: spec.vocabulary,
            chat: spec.chat_template.is_some(),
            sampling: &spec.sampling,
            perplexity: spec.perplexity.as_ref(),
        }
    }
}

#[derive(Serialize)]
struct FeatureDescription<'a> {
    name: &'a str,
    input: &'a str,
    dtype: Option<Dtype>,
    unit: Option<&'a str>,
    choices: &'a BTreeMap<String, String>,
    minimum: Option<f64>,
    maximum: Option<f64>,
}

impl<'a> Description<'a> {
    fn of(model: &'a Model, api: &Api) -> Self {
        let manifest = model.manifest();
        let dtype = |input: &str| manifest.inputs.iter().find(|spec| spec.name == input).map(|spec| spec.dtype);
        let features = manifest.features.iter().map(|feature| FeatureDescription {
            name: &feature.name,
            input: &feature.input,
            dtype: dtype(&feature.input),
            unit: feature.unit.as_deref(),
            choices: &feature.choices,
            minimum: feature.minimum,
            maximum: feature.maximum,
        });
        Self {
            name: &manifest.name,
            digest: model.digest(),
            package_bytes: model.package_bytes(),
            task: manifest.task,
            description: &manifest.description,
            licence: &manifest.licence,
            labels: &manifest.labels,
            inputs: &manifest.inputs,
            outputs: &manifest.outputs,
            features: features.collect(),
            image: manifest.image.as_ref(),
            text: TextDescription::of(manifest),
            generate: manifest.generate.as_ref().map(|spec| GenerateDescription::of(spec, api)),
            examples: &manifest.examples,
            cold_start: ColdStart::of(model.timeline()),
        }
    }
}
