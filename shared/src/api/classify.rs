//! `POST /classify`, and `/predict` of a model that takes texts: in Emberlite's form (`input`), and in that of
//! text-embeddings-inference (`inputs`).

mod own;
mod peer;

use serde::Serialize;
use serde_json::Value;

use super::ApiError;
use super::dialect::{Dialect, Refusal};
use super::text::Endpoint;
use crate::model::{Model, Task};
use crate::task::text::{Outcome, Query};

/// A body in either form.
#[derive(Debug)]
pub(super) enum Request {
    Own(own::Request),
    Peer(peer::Request),
}

/// The answer in the form of the request.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Own(own::Answer),
    Peer(peer::Answer),
}

impl Endpoint for Request {
    type Answer = Answer;

    const TASKS: &'static [Task] = &[Task::Classify, Task::Rerank];
    const DIALECT: Dialect = Dialect::Emberlite;

    fn read(body: &[u8]) -> Result<Self, Refusal> {
        let own = |error| Dialect::Emberlite.refusal(ApiError::malformed_json(&error));
        let fields: Value = serde_json::from_slice(body).map_err(own)?;
        if fields.get("inputs").is_some() {
            let peer = |error| Dialect::TextEmbeddings.refusal(ApiError::unfit_json(&error));
            serde_json::from_value(fields).map(Self::Peer).map_err(peer)
        } else {
            serde_json::from_value(fields).map(Self::Own).map_err(own)
        }
    }

    fn dialect(&self) -> Dialect {
        match self {
            Self::Own(_) => Dialect::Emberlite,
            Self::Peer(_) => Dialect::TextEmbeddings,
        }
    }

    fn model(&self) -> Option<&str> {
        match self {
            Self::Own(request) => request.model.as_deref(),
            Self::Peer(request) => request.model.as_deref(),
        }
    }

    fn query(&self, _: &Model) -> Result<Query, ApiError> {
        match self {
            Self::Own(request) => request.query(),
            Self::Peer(request) => request.query(),
        }
    }

    fn answer(self, model: &Model, outcome: Outcome) -> Result<Answer, ApiError> {
        Ok(match self {
            Self::Own(request) => Answer::Own(request.answer(model, &outcome)),
            Self::Peer(request) => Answer::Peer(request.answer(model, &outcome)),
        })
    }
}
