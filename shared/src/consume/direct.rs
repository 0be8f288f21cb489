//! A request whose answer is waited for.

use std::sync::Arc;

use serde_json::Value;

use super::answers::Trouble;
use super::{Asked, Consumer, Limit, Request};
use crate::api::ApiError;
use crate::events::{Content, Message};

impl Consumer {
    /// The result of a request; what comes of an object goes where results go, and is told by its place.
    ///
    /// # Errors
    /// A request that can't be answered, or not in time.
    pub(crate) async fn answer(self: &Arc<Self>, request: Value, limit: &Limit) -> Result<Value, ApiError> {
        let Value::Object(fields) = request else {
            return Err(ApiError::bad_request(
                "the event is neither one of a service nor a request: expected an object",
            ));
        };
        let request = Request::read(Content::Request(fields))?;
        let is_object = matches!(request.asked, Asked::Object { .. });
        let outcome = match self.answer_requests(vec![request], limit).await.pop() {
            Some(Ok(outcome)) => outcome,
            Some(Err(Trouble::Refused(error) | Trouble::Failed(error))) => return Err(error),
            Some(Err(Trouble::OutOfTime)) | None => return Err(ApiError::deadline()),
        };
        let told = match (&self.results, is_object) {
            (Some(results), true) => {
                let nobody = Message { id: String::new(), body: String::new(), group: None };
                let delivered = limit.keep(self.hand_over(&nobody, &outcome)).await;
                delivered.unwrap_or_else(|| Err(ApiError::deadline()))?;
                outcome.pointer(results.location().url(&outcome.key))?
            }
            _ => outcome.lines.to_vec(),
        };
        serde_json::from_slice(&told).map_err(|error| ApiError::internal(format!("the result is no JSON: {error}")))
    }
}
