//! Queues: AWS SQS, or what speaks its protocol. The client is built on first use.

mod letter;
mod url;

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName,
};
use tokio::sync::OnceCell;

pub(crate) use letter::Letter;
pub use url::{QueueUrl, QueueUrlError};

use crate::aws::{self, reason, status};

/// How long a queue may keep a request for messages open while there are none.
const LONG_POLL: Duration = Duration::from_secs(20);
/// The most messages that a queue gives, and takes back, at once.
const AT_ONCE: usize = 10;

/// Why a queue can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum QueueError {
    #[error("access to {queue} is denied: {reason}")]
    Denied { queue: QueueUrl, reason: String },
    #[error("{queue} can't be reached: {reason}")]
    Unreachable { queue: QueueUrl, reason: String },
    #[error("{queue} refused {count} messages, the first because of {reason}")]
    Partly { queue: QueueUrl, count: usize, reason: String },
}

/// A message that was received.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) id: String,
    pub(crate) body: String,
    /// Of a FIFO queue: messages of one group are handled in order.
    pub(crate) group: Option<String>,
    /// How often it was received, this time included.
    pub(crate) times: u32,
    /// What it is deleted and kept by.
    pub(crate) receipt: String,
}

/// The queues of one endpoint.
#[derive(Debug)]
pub(crate) struct Queues {
    endpoint: Option<String>,
    client: OnceCell<Client>,
}

impl Queues {
    /// Nothing is contacted before it is asked for something. `endpoint` is SQS's, where it is not AWS's own.
    pub(crate) fn new(endpoint: Option<String>) -> Self {
        Self { endpoint, client: OnceCell::new() }
    }

    /// Waits for messages, for as long as a queue lets one wait; then there may be none. They are kept from others for
    /// `hidden`.
    pub(crate) async fn receive(&self, queue: &QueueUrl, hidden: Duration) -> Result<Vec<Received>, QueueError> {
        // The answer may take as long as the queue waits for a message.
        let timeouts = TimeoutConfig::builder().read_timeout(LONG_POLL * 2).connect_timeout(aws::CONNECT_TIMEOUT);
        let patient = aws_sdk_sqs::config::Builder::new().timeout_config(timeouts.build());
        let request = self
            .client(queue)
            .await?
            .receive_message()
            .queue_url(queue.as_str())
            .max_number_of_messages(AT_ONCE as i32)
            .wait_time_seconds(seconds(LONG_POLL))
            .visibility_timeout(seconds(hidden))
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let answer = request.customize().config_override(patient).send().await;
        let answer = answer.map_err(|error| failed(queue, &error))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(|message| received(queue, message)).collect())
    }

    /// Keeps messages from others for `hidden` from now on; for no time at all, gives them back.
    pub(crate) async fn hide(&self, queue: &QueueUrl, receipts: &[&str], hidden: Duration) -> Result<(), QueueError> {
        for receipts in receipts.chunks(AT_ONCE) {
            let mut request = self.client(queue).await?.change_message_visibility_batch().queue_url(queue.as_str());
            for (index, receipt) in receipts.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
                let entry = entry.receipt_handle(*receipt).visibility_timeout(seconds(hidden)).build();
                request = request.entries(entry.map_err(|error| unbuilt(queue, &error))?);
            }
            let answer = request.send().await.map_err(|error| failed(queue, &error))?;
            let reasons = answer.failed.iter().map(|entry| entry.message().unwrap_or(&entry.code));
            partly(queue, reasons)?;
        }
        Ok(())
    }

    /// Deletes messages that are done.
    pub(crate) async fn delete(&self, queue: &QueueUrl, receipts: &[&str]) -> Result<(), QueueError> {
        for receipts in receipts.chunks(AT_ONCE) {
            let mut request = self.client(queue).await?.delete_message_batch().queue_url(queue.as_str());
            for (index, receipt) in receipts.iter().enumerate() {
                let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(*receipt);
                request = request.entries(entry.build().map_err(|error| unbuilt(queue, &error))?);
            }
            let answer = request.send().await.map_err(|error| failed(queue, &error))?;
            let reasons = answer.failed.iter().map(|entry| entry.message().unwrap_or(&entry.code));
            partly(queue, reasons)?;
        }
        Ok(())
    }

    /// Sends a message.
    pub(crate) async fn send(&self, queue: &QueueUrl, letter: Letter) -> Result<(), QueueError> {
        let request = self.client(queue).await?.send_message().queue_url(queue.as_str()).message_body(letter.body);
        let request = request.set_message_attributes(Some(letter.attributes));
        let request = match letter.order {
            Some(order) if queue.is_fifo() => {
                request.message_group_id(order.group).message_deduplication_id(order.deduplication)
            }
            _ => request,
        };
        request.send().await.map(drop).map_err(|error| failed(queue, &error))
    }

    async fn client(&self, queue: &QueueUrl) -> Result<&Client, QueueError> {
        let build = || async {
            let config = aws::config(self.endpoint.as_deref()).await;
            config
                .map(|config| Client::new(&config))
                .map_err(|reason| QueueError::Unreachable { queue: queue.clone(), reason })
        };
        self.client.get_or_try_init(build).await
    }
}

fn received(queue: &QueueUrl, message: Message) -> Option<Received> {
    let attribute = |name| message.attributes.as_ref().and_then(|attributes| attributes.get(&name).cloned());
    Some(Received {
        group: attribute(MessageSystemAttributeName::MessageGroupId).filter(|_| queue.is_fifo()),
        times: attribute(MessageSystemAttributeName::ApproximateReceiveCount)
            .and_then(|times| times.parse().ok())
            .unwrap_or(1),
        id: message.message_id?,
        body: message.body.unwrap_or_default(),
        receipt: message.receipt_handle?,
    })
}

fn failed<E>(queue: &QueueUrl, error: &SdkError<E>) -> QueueError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let (queue, reason) = (queue.clone(), reason(error));
    match status(error) {
        Some(401 | 403) => QueueError::Denied { queue, reason },
        _ => QueueError::Unreachable { queue, reason },
    }
}

fn unbuilt(queue: &QueueUrl, error: &impl ToString) -> QueueError {
    QueueError::Unreachable { queue: queue.clone(), reason: error.to_string() }
}

/// An error where some messages of a request were refused.
fn partly<'a>(queue: &QueueUrl, mut reasons: impl ExactSizeIterator<Item = &'a str>) -> Result<(), QueueError> {
    let count = reasons.len();
    match reasons.next() {
        None => Ok(()),
        Some(reason) => Err(QueueError::Partly { queue: queue.clone(), count, reason: reason.to_owned() }),
    }
}

/// Whole seconds, as queues count; a part of one counts as one.
fn seconds(duration: Duration) -> i32 {
    duration.as_millis().div_ceil(1000).try_into().unwrap_or(i32::MAX)
}
