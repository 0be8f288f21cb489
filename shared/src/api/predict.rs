//! `POST /predict` and `POST /models/{model}/predict`.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::body::{json_response, media_type, read};
use super::{Api, ApiError, models};
use crate::model::{Model, ModelName};
use crate::task::{self, Answer, Payload};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const PACKAGE: HeaderName = HeaderName::from_static("x-emberlite-package");

pub(super) async fn default_model(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let request = Request::read(&api, &headers, body).await?;
    let name = match request.model {
        Some(name) => name,
        None => default_name(&api).await?.to_string(),
    };
    answer(&api, &name, request.payload).await
}

pub(super) async fn named_model(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let request = Request::read(&api, &headers, body).await?;
    match request.model {
        Some(other) if other != name => {
            Err(ApiError::bad_request(format!("the path names model {name:?}, the body names model {other:?}")))
        }
        _ => answer(&api, &name, request.payload).await,
    }
}

/// What a request asks for.
struct Request {
    model: Option<String>,
    payload: Payload,
}

impl Request {
    async fn read(api: &Api, headers: &HeaderMap, body: Body) -> Result<Self, ApiError> {
        let bytes = read(headers, body, api.max_body_bytes).await?;
        match media_type(headers).as_deref() {
            Some("image/png" | "image/jpeg") => Ok(Self { model: None, payload: Payload::Image(bytes) }),
            None | Some("application/json" | "text/json" | "application/x-www-form-urlencoded") => {
                Self::from_json(&bytes)
            }
            Some(other) => Err(ApiError::unsupported_media_type("application/json, image/png or image/jpeg", other)),
        }
    }

    fn from_json(bytes: &Bytes) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            #[serde(default)]
            model: Option<String>,
            input: Value,
        }
        let fields: Fields = serde_json::from_slice(bytes).map_err(|error| ApiError::malformed_json(&error))?;
        Ok(Self { model: fields.model, payload: Payload::Json(fields.input) })
    }
}

async fn default_name(api: &Api) -> Result<ModelName, ApiError> {
    api.models.default_name().await?.ok_or_else(|| {
        ApiError::bad_request(
            "several models are served here: name one in the path, /models/NAME/predict, or in the body",
        )
    })
}

async fn answer(api: &Api, name: &str, payload: Payload) -> Result<Response, ApiError> {
    let start = Instant::now();
    let model = models::load(api, name).await?;
    let load_ms = start.elapsed().as_secs_f64() * 1000.0;
    let (worker, shared) = (Arc::clone(&model), payload);
    let answer = api.compute.run(move || task::predict(&worker, &shared)).await??;
    let run_ms = answer.run.as_secs_f64() * 1000.0;
    let mut response = json_response(StatusCode::OK, &Predictions { model: &model, answer: &answer });
    let timing = format!("load;dur={load_ms:.3}, run;dur={run_ms:.3}");
    let package = format!("{}@{}", model.manifest().name, model.digest());
    for (name, value) in [(SERVER_TIMING, timing), (PACKAGE, package)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// One prediction as it is, several as a list.
struct Predictions<'a> {
    model: &'a Model,
    answer: &'a Answer,
}

impl Serialize for Predictions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("model", &self.model.manifest().name)?;
        match self.answer.predictions.as_slice() {
            [only] if !self.answer.many => only.write_fields(&mut map)?,
            several => map.serialize_entry("predictions", several)?,
        }
        map.end()
    }
}
