//! The shapes of errors: each dialect has its own body and statuses for the same error.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::ApiError;

/// Whose shape an error has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `{"error": {"code", "message", "expected", "got"}}`.
    Emberlite,
    /// OpenAI's: `{"error": {"message", "type", "param", "code"}}`.
    OpenAi,
    /// That of text-embeddings-inference: `{"error", "error_type"}`.
    TextEmbeddings,
    /// The Open Inference Protocol's: `{"error"}`.
    OpenInference,
}

/// An error on its way to a client of this dialect.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) dialect: Dialect,
    pub(super) error: ApiError,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, body) = self.dialect.body(&self.error);
        self.error.respond(status, &body)
    }
}

impl Dialect {
    /// The dialect that a path belongs to.
    pub(super) fn of_path(path: &str) -> Self {
        let own = path.strip_prefix("/models/").and_then(|rest| rest.split_once('/')).map_or("", |(_, own)| own);
        let mut parts = path.trim_start_matches('/').split('/');
        match (parts.next(), own.split('/').next()) {
            (Some("v2"), _) => Self::OpenInference,
            (Some("v1"), _) | (_, Some("v1")) => Self::OpenAi,
            (Some("embed" | "similarity" | "rerank"), _) | (_, Some("embed" | "similarity" | "rerank")) => {
                Self::TextEmbeddings
            }
            _ => Self::Emberlite,
        }
    }

    pub(super) fn refusal(self, error: impl Into<ApiError>) -> Refusal {
        Refusal { dialect: self, error: error.into() }
    }

    /// The status and the body of an error.
    pub(super) fn body(self, error: &ApiError) -> (StatusCode, Value) {
        match self {
            Self::Emberlite => (error.status(), json!({"error": error})),
            Self::OpenAi => open_ai(error),
            Self::TextEmbeddings => text_embeddings(error),
            Self::OpenInference => {
                let status = match error.status() {
                    StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
                    status => status,
                };
                (status, json!({"error": error.message()}))
            }
        }
    }
}

fn open_ai(error: &ApiError) -> (StatusCode, Value) {
    let (param, code) = match error.code() {
        "unknown_model" => (Some("model"), "model_not_found"),
        "text_too_long" => (Some("input"), "context_length_exceeded"),
        code @ ("empty_input" | "unknown_token") => (error.param().or(Some("input")), code),
        code @ "wrong_dimensions" => (Some("dimensions"), code),
        code @ "wrong_task" => (Some("model"), code),
        code => (error.param(), code),
    };
    let status = match error.status() {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        status => status,
    };
    let kind = if status.is_server_error() { "server_error" } else { "invalid_request_error" };
    (status, json!({"error": {"message": error.message(), "type": kind, "param": param, "code": code}}))
}

/// That service calls a limit that a request breaks a validation error, and answers it with 413; one too many gets 429.
fn text_embeddings(error: &ApiError) -> (StatusCode, Value) {
    let (status, kind) = match error.code() {
        "empty_input" => (StatusCode::BAD_REQUEST, "empty"),
        "unknown_token" | "not_tokenized" => (StatusCode::UNPROCESSABLE_ENTITY, "tokenizer"),
        "text_too_long" | "wrong_dimensions" | "unknown_prompt" => (StatusCode::PAYLOAD_TOO_LARGE, "validation"),
        "wrong_task" | "model_failed" => (StatusCode::FAILED_DEPENDENCY, "backend"),
        "store_unreachable" => (error.status(), "unhealthy"),
        "overloaded" => (StatusCode::TOO_MANY_REQUESTS, "overloaded"),
        _ if error.status().is_server_error() => (error.status(), "backend"),
        _ => (error.status(), "validation"),
    };
    (status, json!({"error": error.message(), "error_type": kind}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_the_shape_of_its_errors() {
        for (path, dialect) in [
            ("/v1/embeddings", Dialect::OpenAi),
            ("/models/minilm/v1/embeddings", Dialect::OpenAi),
            ("/embed", Dialect::TextEmbeddings),
            ("/models/minilm/rerank", Dialect::TextEmbeddings),
            ("/v2", Dialect::OpenInference),
            ("/v2/models/v1/infer", Dialect::OpenInference),
            ("/models/v1", Dialect::Emberlite),
            ("/models/embed/predict", Dialect::Emberlite),
            ("/v10", Dialect::Emberlite),
            ("/", Dialect::Emberlite),
        ] {
            assert_eq!(Dialect::of_path(path), dialect, "{path}");
        }
    }
}
