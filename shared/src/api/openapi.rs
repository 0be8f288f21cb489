//! `GET /openapi.json`: the description of every path of a function.

use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse as _;
use axum::routing::get;
use http::header;
use serde_json::{Map, Value};

use super::Api;

/// Paths and components of an OpenAPI document, as JSON.
pub(super) type Part = &'static str;

/// What every function answers.
const COMMON: Part = include_str!("openapi/common.json");
/// The paths of `predict`.
pub(super) const PREDICT: Part = include_str!("openapi/predict.json");
/// The paths of `embed`.
pub(super) const EMBED: Part = include_str!("openapi/embed.json");
/// The paths of `classify`.
pub(super) const CLASSIFY: Part = include_str!("openapi/classify.json");
/// The paths of `generate`.
pub(super) const GENERATE: Part = include_str!("openapi/generate.json");
/// The paths that `consume` takes events at.
pub(super) const CONSUME: Part = include_str!("openapi/consume.json");

pub(super) fn routes(parts: &[Part]) -> Router<Arc<Api>> {
    let parts: Arc<[Part]> = parts.into();
    let document = move || {
        let document = document(&parts).to_string();
        async { ([(header::CONTENT_TYPE, "application/json")], document).into_response() }
    };
    Router::new().route("/openapi.json", get(document))
}

/// The common part with others merged into it.
fn document(parts: &[Part]) -> Value {
    let mut document = Value::Object(Map::new());
    for part in [COMMON].iter().chain(parts) {
        merge(&mut document, serde_json::from_str(part).unwrap_or_default());
    }
    document
}

/// Adds the fields of one object to another, and to the objects within.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_this_version() {
        assert_eq!(document(&[])["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn every_part_is_json_and_every_reference_leads_somewhere() {
        for part in [COMMON, PREDICT, EMBED, CLASSIFY, GENERATE, CONSUME] {
            serde_json::from_str::<Value>(part).unwrap();
        }
        let document = document(&[PREDICT, EMBED, CLASSIFY, GENERATE, CONSUME]);
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
