//! Errors as clients see them: a status, a code, and what was expected and what came.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::body::json_response;
use super::dialect::Dialect;
use crate::engine::EngineError;
use crate::model::{LoadError, Manifest, ModelError, ModelName, PackageError, Task};
use crate::store::StoreError;
use crate::task::text::TextError;
use crate::task::{InputError, PredictError};
use crate::tokenizer::EncodeError;
use crate::trust::TrustError;

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
    /// The field of the request that is to blame, for dialects that name it.
    #[serde(skip)]
    param: Option<Box<str>>,
}

/// Seconds after which what could not be reached, or had no place, may be asked again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

const OVERLOADED: &str = "overloaded";

impl ApiError {
    /// An error with a message only.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), expected: None, got: None, param: None }
    }

    /// Adds what was expected and what came, which the message says too.
    fn with(self, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), got: Some(got.into()), ..self }
    }

    /// A field of a request that is not as it should be.
    pub(super) fn parameter(code: &'static str, param: impl Into<Box<str>>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(StatusCode::BAD_REQUEST, code, message) }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(crate) fn malformed_json(error: &serde_json::Error) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_json", format!("the body is not the JSON expected: {error}"))
    }

    /// A body that is no JSON, or, which is another status, JSON that is not what an endpoint takes.
    pub(super) fn unfit_json(error: &serde_json::Error) -> Self {
        let malformed = Self::malformed_json(error);
        if error.is_data() { Self { status: StatusCode::UNPROCESSABLE_ENTITY, ..malformed } } else { malformed }
    }

    pub(super) fn not_found(path: &str) -> Self {
        let message = format!("there is nothing at {path}; GET /openapi.json lists what there is");
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn method_not_allowed(method: &str, path: &str) -> Self {
        let message = format!("{path} does not answer {method}; GET /openapi.json lists what it answers");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    pub(crate) fn unsupported_media_type(expected: &str, got: &str) -> Self {
        let message = format!("the content type is not supported: expected {expected}, got {got}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message).with(expected, got)
    }

    pub(super) fn body_too_large(limit: usize, got: Option<u64>) -> Self {
        let got = got.map_or("more".to_owned(), |bytes| format!("{bytes} bytes"));
        let expected = format!("at most {limit} bytes");
        let message = format!("the body is too large: expected {expected}, got {got}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message).with(expected, got)
    }

    pub(crate) fn unknown_model(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_model", message)
    }

    /// A model that is asked for what it is not for.
    pub(super) fn wrong_task(manifest: &Manifest) -> Self {
        let (name, task) = (&manifest.name, manifest.task);
        let path = match task {
            Task::Predict => "predict",
            Task::Embed => "v1/embeddings",
            Task::Classify => "classify",
            Task::Rerank => "rerank",
            Task::Generate => "v1/chat/completions",
        };
        let message = format!("model {name} does not do that: its task is {task}, POST /models/{name}/{path}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "wrong_task", message)
    }

    pub(super) fn empty_input(name: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "empty_input", format!("`{name}` cannot be empty"))
    }

    /// An object that requests may not name.
    pub(crate) fn object_not_allowed(object: &str, expected: &str) -> Self {
        let message = format!("{object} is not read for requests: expected an object in {expected}");
        Self::new(StatusCode::FORBIDDEN, "object_not_allowed", message).with(expected, object)
    }

    /// An answer that has no place where it could go.
    pub(crate) fn answer_too_large(limit: usize, got: usize) -> Self {
        let (expected, got) = (format!("at most {limit} bytes"), format!("{got} bytes"));
        let message = format!("the answer is too large for a queue: expected {expected}, got {got}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "answer_too_large", message).with(expected, got)
    }

    /// Another service that can't be reached.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "queue_unreachable", message)
    }

    /// A model that is not asked for yet: whoever asks for it waits.
    pub(super) fn loading(model: &ModelName) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "model_loading", format!("model {model} is still being loaded"))
    }

    /// A package that is refused. Which keys are trusted, and what KMS says of accounts and roles, is in the log alone.
    fn of_trust(model: &ModelName, error: &TrustError) -> Self {
        let internal = StatusCode::INTERNAL_SERVER_ERROR;
        let (status, code, why) = match error {
            TrustError::Unsigned { .. } => (internal, "package_unsigned", "it is not signed"),
            TrustError::UnknownSigner { .. } => {
                (internal, "package_untrusted", "it is signed with no key that is trusted here")
            }
            TrustError::NotEncrypted => (internal, "package_unencrypted", "it is not encrypted"),
            TrustError::NoKey { .. } => (internal, "package_locked", "it is encrypted, and there is no key here"),
            TrustError::WrongKey { .. } => {
                (internal, "package_locked", "it is encrypted with another key than is here")
            }
            TrustError::KmsRefused { .. } | TrustError::Key(_) => {
                (internal, "package_locked", "it is encrypted, and its key can't be had")
            }
            TrustError::KmsUnreachable { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "key_unreachable", "who has its key can't be reached")
            }
            TrustError::Version { .. } => (internal, "package_unsupported", "it is encrypted in a newer way"),
            TrustError::WrappedKey { .. } => (internal, "package_corrupt", "the key in it is damaged"),
            TrustError::Container(_) => (internal, "package_corrupt", "its encrypted file is damaged"),
            TrustError::Chunk { .. } => (internal, "package_corrupt", "an encrypted part of it is damaged"),
        };
        Self::new(status, code, format!("the package of model {model:?} is refused: {why}; the log says more"))
    }

    /// A request for which there is no place.
    pub(super) fn overloaded(places: usize) -> Self {
        let message = format!("{places} requests are being answered or wait: come again");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, OVERLOADED, message)
    }

    pub(crate) fn deadline() -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "deadline", "the function's time ended before the answer was there")
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "model_failed", message)
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether the request is to blame, so that it would end the same another time.
    pub(crate) fn is_final(&self) -> bool {
        self.status.is_client_error()
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(super) fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Writes the error to the log where it is the server's. In a crowd a record of each refusal would be a crowd, too.
    pub(super) fn log(&self) {
        if self.code == OVERLOADED {
            tracing::debug!(error = %self.message, "request refused");
        } else if self.status.is_server_error() {
            tracing::error!(code = self.code, status = self.status.as_u16(), error = %self.message, "request failed");
        }
    }

    /// As the answer to a line of many, as `/predict` has it.
    pub(crate) fn of_line(&self, number: usize) -> Vec<u8> {
        serde_json::json!({"error": self, "line": number}).to_string().into_bytes()
    }

    /// Logs the error and sends it with a dialect's status and body.
    pub(super) fn respond(&self, status: StatusCode, body: &impl Serialize) -> Response {
        self.log();
        let mut response = json_response(status, body);
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Dialect::Emberlite.refusal(self).into_response()
    }
}

impl From<TextError> for ApiError {
    fn from(error: TextError) -> Self {
        let refuse = |code| Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, error.to_string());
        match &error {
            TextError::NoTexts => refuse("wrong_task"),
            TextError::UnknownPrompt { .. } => refuse("unknown_prompt"),
            TextError::Dimensions { expected, got } => {
                refuse("wrong_dimensions").with(format!("1 to {got}"), expected.to_string())
            }
            TextError::Encode { source: EncodeError::TooLong { max_tokens, tokens, whole }, .. } => {
                let got = if *whole { format!("{tokens} tokens") } else { format!("more than {tokens} tokens") };
                refuse("text_too_long").with(format!("at most {max_tokens} tokens"), got)
            }
            TextError::Encode { source: EncodeError::UnknownId(_), .. } => refuse("unknown_token"),
            TextError::Encode { source: EncodeError::Failed(_), .. } => refuse("not_tokenized"),
            TextError::Run(_) => Self::internal(error.to_string()),
        }
    }
}

impl From<InputError> for ApiError {
    fn from(error: InputError) -> Self {
        let code = match &error {
            InputError::Shape { .. } | InputError::Row { .. } | InputError::Symbols { .. } => "wrong_shape",
            InputError::Dtype { .. } | InputError::Feature { .. } => "wrong_dtype",
            InputError::UnknownFeature { .. } | InputError::UnknownInput { .. } => "unknown_feature",
            InputError::MissingFeature { .. } | InputError::MissingInput(_) | InputError::MissingColumn { .. } => {
                "missing_feature"
            }
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
        match error {
            EngineError::UnknownId { id, rows, .. } => {
                let refusal = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_id", error.to_string());
                refusal.with(format!("an id from 0 to {}", rows - 1), id.to_string())
            }
            _ => Self::internal(error.to_string()),
        }
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
            StoreError::TooLarge { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "package_unsupported"),
            StoreError::MissingObject { .. } => (StatusCode::NOT_FOUND, "unknown_object"),
            StoreError::ObjectTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "object_too_large"),
            StoreError::Interrupted => (StatusCode::INTERNAL_SERVER_ERROR, "model_failed"),
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
            LoadError::Trust { model, source } => Self::of_trust(model, source),
            LoadError::Package { source: PackageError::Unsupported { .. }, .. } => internal("package_unsupported"),
            LoadError::Model { source: ModelError::Engine(_), .. } => internal("package_unsupported"),
            LoadError::Interrupted(_) => internal("model_failed"),
            LoadError::Package { .. } | LoadError::Model { .. } | LoadError::Name { .. } => internal("package_corrupt"),
        }
    }
}
