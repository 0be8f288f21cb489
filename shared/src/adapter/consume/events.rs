//! Lambda's events, and what it is told became of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lambda_http::lambda_runtime::{self, Diagnostic, LambdaEvent, service_fn};
use serde_json::{Value, json};

use crate::adapter::lambda;
use crate::api::ApiError;
use crate::consume::{Consumer, Fate, Limit};
use crate::events::{Event, Message};
use crate::telemetry;

/// What is kept of a function's time to give back what is not done.
const RESERVE: Duration = Duration::from_secs(1);

/// Answers events until Lambda ends the process.
///
/// # Errors
/// A runtime interface that can't be spoken to, in words.
pub(super) async fn run(consumer: Arc<Consumer>) -> Result<(), String> {
    telemetry::cold_start::is_ready();
    let service = service_fn(move |event: LambdaEvent<Value>| {
        let consumer = Arc::clone(&consumer);
        // In a box: the runtime wraps it in so many layers that the compiler gives up on the whole.
        Box::pin(async move {
            let end = lambda::deadline(event.context.deadline);
            let limit = Limit::at(end.map(|end| within(Instant::now(), end)));
            answer(&consumer, event.payload, &event.context.request_id, &limit).await.map_err(diagnostic)
        })
    });
    let outcome = lambda_runtime::run(service).await;
    outcome.map_err(|error| format!("the Lambda runtime interface failed: {error}"))
}

/// When work is to end of which nothing may be left at `end`: of little time a quarter is kept.
fn within(now: Instant, end: Instant) -> Instant {
    let left = end.saturating_duration_since(now);
    now + left - RESERVE.min(left / 4)
}

/// What an event's sender is told: the failures of a batch, a result that is waited for or has no other place, or null.
///
/// # Errors
/// An event that can't be answered, or not now.
pub(super) async fn answer(
    consumer: &Arc<Consumer>,
    event: Value,
    request_id: &str,
    limit: &Limit,
) -> Result<Value, ApiError> {
    match Event::read(event)? {
        Event::Messages(messages) => {
            let ids: Vec<_> = messages.iter().map(|message| message.id.clone()).collect();
            let fates = consumer.consume(messages, limit).await;
            let left = ids.into_iter().zip(fates).filter(|(_, fate)| *fate != Fate::Done);
            let failures: Vec<_> = left.map(|(id, _)| json!({"itemIdentifier": id})).collect();
            Ok(json!({"batchItemFailures": failures}))
        }
        Event::Notice(notice) => {
            let message = Message { id: request_id.to_owned(), body: notice.to_string(), group: None };
            consumer.settle(message, limit).await
        }
        Event::Request(request) => consumer.answer(request, limit).await,
    }
}

/// An error as Lambda tells it to who called, who can tell errors apart by their codes.
fn diagnostic(error: ApiError) -> Diagnostic {
    Diagnostic { error_type: error.code().to_owned(), error_message: error.message().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_kept_of_much_time_and_a_quarter_of_little() {
        let now = Instant::now();
        let kept = |seconds| Duration::from_secs(seconds) - (within(now, now + Duration::from_secs(seconds)) - now);
        assert_eq!(kept(60), Duration::from_secs(1));
        assert_eq!(kept(2), Duration::from_millis(500));
        assert_eq!(kept(0), Duration::ZERO);
    }
}
