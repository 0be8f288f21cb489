//! Bodies: read whole within the limit, written as JSON.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use serde::Serialize;

use super::ApiError;

/// How many bytes over the limit are read and thrown away, so that a client that is still sending sees the answer.
const DRAINED_BYTES: usize = 16 * 1024 * 1024;

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// A body that is larger, compressed, or broken off.
pub(crate) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, ApiError> {
    refuse_encoding(headers)?;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let mut body = body;
    let mut bytes = BytesMut::new();
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::bad_request(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        received += data.len();
        if received <= limit {
            bytes.extend_from_slice(&data);
        } else if received > limit + DRAINED_BYTES {
            break;
        }
    }
    if received > limit {
        return Err(ApiError::body_too_large(limit, announced));
    }
    Ok(bytes.freeze())
}

/// Reads a body and throws it away, up to a bound, so that a client that is still sending sees the answer.
pub(super) async fn discard(mut body: Body) {
    let mut received = 0;
    while received <= DRAINED_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        received += frame.data_ref().map_or(0, Bytes::len);
    }
}

/// Refuses a body that is compressed.
pub(super) fn refuse_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && encoding != "identity"
    {
        let got = encoding.to_str().unwrap_or("bytes that are no text");
        return Err(ApiError::unsupported_media_type("a body without Content-Encoding", got));
    }
    Ok(())
}

/// Reads a body that is JSON, or says nothing of what it is.
///
/// # Errors
/// As [`read`], or another media type.
pub(super) async fn read_json(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, ApiError> {
    match media_type(headers).as_deref() {
        None | Some("application/json" | "text/json" | "application/x-www-form-urlencoded") => {
            read(headers, body, limit).await
        }
        Some(other) => Err(ApiError::unsupported_media_type("application/json, or application/jsonl for many", other)),
    }
}

/// The media type of a body, without parameters, in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// A response with a JSON body.
pub(crate) fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let content_type = HeaderValue::from_static("application/json");
            (status, [(header::CONTENT_TYPE, content_type)], bytes).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "answer not written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
