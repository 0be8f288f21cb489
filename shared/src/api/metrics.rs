//! `GET /metrics`: numbers in Prometheus' text format, version 0.0.4.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use super::Api;
use crate::model::Model;

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Response {
    ([(CONTENT_TYPE, FORMAT)], text(&api.models.loaded())).into_response()
}

/// The metrics of loaded models.
fn text(models: &[Arc<Model>]) -> String {
    let mut text = String::new();
    gauge(&mut text, "emberlite_package_bytes", "The size of the package in use.");
    for model in models {
        let labels = labels(model);
        let _ = writeln!(text, "emberlite_package_bytes{{{labels}}} {}", model.package_bytes());
    }
    gauge(
        &mut text,
        "emberlite_cold_start_seconds",
        "From the start of the load, or of the process, to the first run.",
    );
    for model in models.iter().filter(|model| model.timeline().is_whole()) {
        let total = seconds(model.timeline().total());
        let _ = writeln!(text, "emberlite_cold_start_seconds{{{}}} {total}", labels(model));
    }
    gauge(&mut text, "emberlite_cold_start_step_seconds", "A step of it.");
    for model in models {
        for span in model.timeline().spans() {
            let (labels, step, took) = (labels(model), span.step.name(), seconds(span.took));
            let _ = writeln!(text, "emberlite_cold_start_step_seconds{{{labels},step=\"{step}\"}} {took}");
        }
    }
    text
}

fn gauge(text: &mut String, name: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
}

/// Neither a name nor a digest has a character that would have to be escaped.
fn labels(model: &Model) -> String {
    format!("model=\"{}\",package=\"{}\"", model.manifest().name, model.digest())
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
