//! The headers that tell which package answered and how long each step took.

use std::time::Duration;

use axum::response::Response;
use http::{HeaderName, HeaderValue};

use crate::model::Model;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const PACKAGE: HeaderName = HeaderName::from_static("x-emberlite-package");

/// Adds `Server-Timing` and `x-emberlite-package` to an answer.
pub(super) fn add(response: &mut Response, model: &Model, steps: &[(&str, Duration)]) {
    let step = |(name, took): &(&str, Duration)| format!("{name};dur={:.3}", took.as_secs_f64() * 1000.0);
    let timing = steps.iter().map(step).collect::<Vec<_>>().join(", ");
    let package = format!("{}@{}", model.manifest().name, model.digest());
    let told = [(SERVER_TIMING, timing), (PACKAGE, package)];
    for (name, value) in told.into_iter().filter(|(_, value)| !value.is_empty()) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
}
