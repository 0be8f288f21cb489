//! A message whose sender waits to hear what became of it, and sends it again where nothing did.

use std::sync::Arc;

use serde_json::Value;

use super::answers::{Answered, Trouble};
use super::{Consumer, Fate, Limit};
use crate::api::ApiError;
use crate::events::Message;

impl Consumer {
    /// Sees to a message. Where results have no place of their own they are answered, one as it is, several as a list.
    /// Otherwise, and for a message that lies in the dead-letter queue, the answer is null.
    ///
    /// # Errors
    /// A message that may work another time, or never will and there is no dead-letter queue that takes it.
    pub(crate) async fn settle(self: &Arc<Self>, message: Message, limit: &Limit) -> Result<Value, ApiError> {
        if self.settings.has_place_for_results() {
            let fate = self.consume(vec![message], limit).await.pop();
            return outcome(fate.unwrap_or(Fate::GivenBack));
        }
        let Some(answered) = self.answer_messages(std::slice::from_ref(&message), limit).await.pop() else {
            return outcome(Fate::GivenBack);
        };
        match answered.trouble {
            None => told(&answered),
            Some(Trouble::OutOfTime) => outcome(Fate::GivenBack),
            Some(Trouble::Failed(error)) => Err(error),
            Some(Trouble::Refused(error)) => outcome(self.bury(&message, error).await),
        }
    }
}

fn outcome(fate: Fate) -> Result<Value, ApiError> {
    match fate {
        Fate::Done => Ok(Value::Null),
        Fate::Failed(error) => Err(error),
        Fate::GivenBack => Err(ApiError::deadline()),
    }
}

/// The lines of all results.
fn told(answered: &Answered) -> Result<Value, ApiError> {
    let lines = |lines| serde_json::Deserializer::from_slice(lines).into_iter::<Value>();
    let lines: Result<Vec<_>, _> = answered.outcomes.iter().flat_map(|outcome| lines(&outcome.lines)).collect();
    let mut lines = lines.map_err(|error| ApiError::internal(format!("the result is no JSON: {error}")))?;
    Ok(match lines.len() {
        0 => Value::Null,
        1 => lines.swap_remove(0),
        _ => Value::Array(lines),
    })
}
