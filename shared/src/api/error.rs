//! Errors as clients see them: a status, a code, and what was expected and what came.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::body::json_response;
use crate::engine::EngineError;
use crate::model::{LoadError, ModelError, PackageError};
use crate::store::StoreError;
use crate::task::{InputError, PredictError};

/// An error as a client sees it. As a response it has the shape of `/predict`:
/// `{"error": {"code", "message", "expected", "got"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiError {
    #[serde(skip)]
    status: StatusCode,
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    got: Option<String>,
}

/// Seconds after which a store that could not be reached may be asked again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

impl ApiError {
    /// An error with a message only.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), expected: None, got: None }
    }

    /// Adds what was expected and what came, which the message says too.
    fn with(self, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), got: Some(got.into()), ..self }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn malformed_json(error: &serde_json::Error) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_json", format!("the body is not the JSON expected: {error}"))
    }

    pub(super) fn not_found(path: &str) -> Self {
        let message = format!("there is nothing at {path}; GET /openapi.json lists what there is");
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn method_not_allowed(method: &str, path: &str) -> Self {
        let message = format!("{path} does not answer {method}; GET /openapi.json lists what it answers");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    pub(super) fn unsupported_media_type(expected: &str, got: &str) -> Self {
        let message = format!("the content type is not supported: expected {expected}, got {got}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message).with(expected, got)
    }

    pub(super) fn body_too_large(limit: usize, got: Option<u64>) -> Self {
        let got = got.map_or("more".to_owned(), |bytes| format!("{bytes} bytes"));
        let expected = format!("at most {limit} bytes");
        let message = format!("the body is too large: expected {expected}, got {got}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message).with(expected, got)
    }

    pub(super) fn unknown_model(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_model", message)
    }

    pub(crate) fn deadline() -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "deadline", "the function's time ended before the answer was there")
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "model_failed", message)
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Writes the error to the log where it is the server's, and sends it with this body.
    pub(super) fn respond(&self, body: &impl Serialize) -> Response {
        if self.status.is_server_error() {
            tracing::error!(code = self.code, status = self.status.as_u16(), error = %self.message, "request failed");
        }
        let mut response = json_response(self.status, body);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            error: &'a ApiError,
        }
        self.respond(&Body { error: &self })
    }
}

impl From<InputError> for ApiError {
    fn from(error: InputError) -> Self {
        let code = match &error {
            InputError::Shape { .. } | InputError::Row { .. } | InputError::Symbols { .. } => "wrong_shape",
            InputError::Dtype { .. } | InputError::Feature { .. } => "wrong_dtype",
            InputError::UnknownFeature { .. } | InputError::UnknownInput { .. } => "unknown_feature",
            InputError::MissingFeature { .. } | InputError::MissingInput(_) => "missing_feature",
            InputError::Image(_) | InputError::NotAnImageModel { .. } => "bad_image",
        };
        let refusal = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, error.to_string());
        match error.expected_and_got() {
            Some((expected, got)) => refusal.with(expected, got),
            None => refusal,
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<PredictError> for ApiError {
    fn from(error: PredictError) -> Self {
        match error {
            PredictError::Input(error) => error.into(),
            PredictError::Engine(error) => error.into(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for ApiError {
    fn from(error: &StoreError) -> Self {
        let (status, code) = match error {
            StoreError::UnknownModel { .. } => (StatusCode::NOT_FOUND, "unknown_model"),
            StoreError::MissingPackage { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "package_missing"),
            StoreError::Pointer { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "package_corrupt"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "store_unreachable"),
        };
        Self::new(status, code, public_message(error))
    }
}

/// What a client may read of a store's error: not the reason of a denial, which names accounts and roles.
fn public_message(error: &StoreError) -> String {
    match error {
        StoreError::Denied { store, key, .. } => format!("access to {key} in {store} is denied; the log says why"),
        other => other.to_string(),
    }
}

impl From<Arc<LoadError>> for ApiError {
    fn from(error: Arc<LoadError>) -> Self {
        let message = error.to_string();
        let internal = |code| Self::new(StatusCode::INTERNAL_SERVER_ERROR, code, message.clone());
        match &*error {
            LoadError::Store(error) => error.into(),
            LoadError::NotServed(_) => Self::unknown_model(message),
            LoadError::Package { source: PackageError::Unsupported { .. }, .. } => internal("package_unsupported"),
            LoadError::Model { source: ModelError::Engine(_), .. } => internal("package_unsupported"),
            LoadError::Interrupted(_) => internal("model_failed"),
            LoadError::Package { .. } | LoadError::Model { .. } | LoadError::Name { .. } => internal("package_corrupt"),
        }
    }
}
