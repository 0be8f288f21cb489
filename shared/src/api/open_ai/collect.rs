//! The events of a request put together to whole texts.

use tokio::sync::mpsc::UnboundedReceiver;

use super::generation::{Usage, Written};
use crate::api::ApiError;
use crate::task::generate::{Event, TokenLogprob};

/// Waits until all texts have ended.
///
/// # Errors
/// A request that has failed, or whose worker has ended.
pub(super) async fn all(
    events: &mut UnboundedReceiver<Event>,
    choices: usize,
    usage: &mut Usage,
) -> Result<Vec<Written>, ApiError> {
    #[derive(Default)]
    struct Growing {
        text: String,
        tokens: Vec<TokenLogprob>,
        written: Option<Written>,
    }
    let mut texts: Vec<Growing> = (0..choices).map(|_| Growing::default()).collect();
    let mut left = choices;
    while left > 0 {
        let event = events.recv().await.ok_or_else(ended)?;
        usage.count(&event);
        match event {
            Event::Started { .. } => {}
            Event::Piece { choice, text, tokens } => {
                if let Some(growing) = texts.get_mut(choice) {
                    growing.text.push_str(&text);
                    growing.tokens.extend(tokens);
                }
            }
            Event::Finished { choice, reason, .. } => {
                if let Some(growing) = texts.get_mut(choice) {
                    let (text, tokens) = (std::mem::take(&mut growing.text), std::mem::take(&mut growing.tokens));
                    growing.written = Some(Written { text, tokens, reason });
                }
                left -= 1;
            }
            Event::Failed(error) => return Err(ApiError::internal(format!("generating failed: {error}"))),
        }
    }
    texts.into_iter().map(|growing| growing.written.ok_or_else(ended)).collect()
}

/// The worker has gone without an answer.
pub(super) fn ended() -> ApiError {
    ApiError::internal("the model's worker has ended before the answer was there")
}
