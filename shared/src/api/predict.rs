//! `POST /predict` and `POST /models/{model}/predict`.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::body::{json_response, media_type, read};
use super::dialect::{Dialect, Refusal};
use super::text::Endpoint as _;
use super::{Api, ApiError, classify, models, text, timing};
use crate::model::Model;
use crate::task::{self, Answer, Payload};

pub(super) fn routes() -> Router<Arc<Api>> {
    let default_model =
        async |State(api): State<Arc<Api>>, headers: HeaderMap, body: Body| respond(&api, None, &headers, body).await;
    let named_model = async |State(api): State<Arc<Api>>, Path(name): Path<String>, headers: HeaderMap, body: Body| {
        respond(&api, Some(name), &headers, body).await
    };
    Router::new().route("/predict", post(default_model)).route("/models/{model}/predict", post(named_model))
}

async fn respond(api: &Arc<Api>, named: Option<String>, headers: &HeaderMap, body: Body) -> Response {
    if text::is_lines(headers) {
        return text::respond::<classify::Request>(api, named, headers, body).await;
    }
    answer(api, named.as_deref(), headers, body).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer(api: &Api, named: Option<&str>, headers: &HeaderMap, body: Body) -> Result<Response, Refusal> {
    let own = |error: ApiError| Dialect::Emberlite.refusal(error);
    let bytes = read(headers, body, api.max_body_bytes).await.map_err(own)?;
    let image = match media_type(headers).as_deref() {
        Some("image/png" | "image/jpeg") => true,
        None | Some("application/json" | "text/json" | "application/x-www-form-urlencoded") => false,
        Some(other) => {
            let expected = "application/json, image/png or image/jpeg";
            return Err(own(ApiError::unsupported_media_type(expected, other)));
        }
    };
    let body_model = if image { None } else { Head::read(&bytes).map_err(own)?.model };
    let start = Instant::now();
    let load = async {
        let name = models::choose(api, named, body_model.as_deref()).await?;
        models::load(api, &name).await
    };
    let model = load.await.map_err(own)?;
    if model.manifest().text.is_some() && !image {
        let request = classify::Request::read(&bytes)?;
        let dialect = request.dialect();
        return text::answer(api, &model, request, start).await.map_err(|error| dialect.refusal(error));
    }
    let payload = if image { Payload::Image(bytes) } else { read_input(&bytes).map_err(own)? };
    predict(api, &model, payload, start).await.map_err(own)
}

/// What of a body tells which model it is for.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    model: Option<String>,
}

impl Head {
    fn read(bytes: &Bytes) -> Result<Self, ApiError> {
        serde_json::from_slice(bytes).map_err(|error| ApiError::malformed_json(&error))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default, rename = "model")]
    _model: Option<String>,
    input: Value,
}

fn read_input(bytes: &Bytes) -> Result<Payload, ApiError> {
    let fields: Fields = serde_json::from_slice(bytes).map_err(|error| ApiError::malformed_json(&error))?;
    Ok(Payload::Json(fields.input))
}

/// The input among the fields of a body.
pub(super) fn input_of(fields: Map<String, Value>) -> Result<Payload, ApiError> {
    let fields: Fields =
        serde_json::from_value(Value::Object(fields)).map_err(|error| ApiError::malformed_json(&error))?;
    Ok(Payload::Json(fields.input))
}

async fn predict(api: &Api, model: &Arc<Model>, payload: Payload, start: Instant) -> Result<Response, ApiError> {
    let load = start.elapsed();
    let worker = Arc::clone(model);
    let answer = api.compute.run(move || task::predict(&worker, &payload)).await??;
    let mut response = json_response(StatusCode::OK, &Predictions { model, answer: &answer });
    timing::add(&mut response, model, &[("load", load), ("run", answer.run)]);
    Ok(response)
}

/// One prediction as it is, several as a list.
pub(super) struct Predictions<'a> {
    pub(super) model: &'a Model,
    pub(super) answer: &'a Answer,
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
