//! A queue that is read without Lambda: messages are kept while they are worked on, deleted when they are done, and given
//! back when they are not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::adapter::http;
use crate::consume::{Consumer, Fate, Limit};
use crate::events::Message;
use crate::queue::{QueueUrl, Received};

/// How long what is in hand may still take when the process is asked to stop: containers are ended ten seconds later.
const GRACE: Duration = Duration::from_secs(8);
/// The longest pause after a queue could not be read.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest that a message is kept back after it has failed: SQS takes no more than twelve hours.
const LONGEST_BACKOFF: Duration = Duration::from_secs(900);

/// Reads a queue until the process is asked to stop; what is in hand is finished, or given back.
///
/// # Errors
/// Signals that can't be listened for, in words.
pub(super) async fn poll(consumer: Arc<Consumer>, queue: QueueUrl) -> Result<(), String> {
    let stopped = http::stopped()?;
    let (sender, stopping) = watch::channel(false);
    let (stop, limit) = Limit::to_be_told();
    info!(%queue, batches = consumer.settings().batches, "reading queue");
    let reader = Reader { consumer, queue, stopping, limit };
    let mut readers = JoinSet::new();
    for _ in 0..reader.consumer.settings().batches {
        readers.spawn(reader.clone().run());
    }
    stopped.await;
    stop.at(Instant::now() + GRACE);
    sender.send_replace(true);
    while readers.join_next().await.is_some() {}
    Ok(())
}

/// Reads one batch after the other.
#[derive(Clone)]
struct Reader {
    consumer: Arc<Consumer>,
    queue: QueueUrl,
    /// Whether nothing more is to be read.
    stopping: watch::Receiver<bool>,
    /// When what is in hand has to have ended.
    limit: Limit,
}

impl Reader {
    async fn run(mut self) {
        let mut failures = 0;
        while !*self.stopping.borrow() {
            let received = {
                let mut stopping = self.stopping.clone();
                let receive = self.consumer.queues().receive(&self.queue, self.consumer.settings().visibility);
                tokio::select! {
                    biased;
                    _ = stopping.wait_for(|stopping| *stopping) => return,
                    received = receive => received,
                }
            };
            match received {
                Ok(received) => {
                    failures = 0;
                    self.handle(received).await;
                }
                Err(error) => {
                    let pause = pause(failures);
                    failures += 1;
                    warn!(%error, pause_s = pause.as_secs(), "queue not read");
                    drop(tokio::time::timeout(pause, self.stopping.wait_for(|stopping| *stopping)).await);
                }
            }
        }
    }

    async fn handle(&self, received: Vec<Received>) {
        if received.is_empty() {
            return;
        }
        let messages = received.iter().map(|received| Message {
            id: received.id.clone(),
            body: received.body.clone(),
            group: received.group.clone(),
        });
        let (consumer, limit, messages) = (Arc::clone(&self.consumer), self.limit.clone(), messages.collect());
        let work = tokio::spawn(async move { consumer.consume(messages, &limit).await });
        let fates = tokio::select! {
            fates = work => fates,
            never = self.keep(&received) => match never {},
        };
        match fates {
            Ok(fates) => self.tell(&received, &fates).await,
            // A panic: the messages come again when their time is up.
            Err(error) => warn!(%error, messages = received.len(), "batch broke off"),
        }
    }

    /// Keeps messages from others for as long as it is polled.
    async fn keep(&self, received: &[Received]) -> std::convert::Infallible {
        let receipts: Vec<_> = received.iter().map(|received| received.receipt.as_str()).collect();
        let visibility = self.consumer.settings().visibility;
        loop {
            tokio::time::sleep(visibility / 3).await;
            match self.consumer.queues().hide(&self.queue, &receipts, visibility).await {
                Ok(()) => debug!(messages = receipts.len(), "messages kept"),
                Err(error) => warn!(%error, "messages not kept; others may get them too"),
            }
        }
    }

    /// Tells the queue what became of messages. What it does not hear it finds out when their time is up.
    async fn tell(&self, received: &[Received], fates: &[Fate]) {
        let queues = self.consumer.queues();
        let (mut done, mut later) = (Vec::new(), BTreeMap::<Duration, Vec<&str>>::new());
        for (received, fate) in received.iter().zip(fates) {
            let receipt = received.receipt.as_str();
            match fate {
                Fate::Done => done.push(receipt),
                Fate::Failed(_) => later.entry(backoff(received.times)).or_default().push(receipt),
                Fate::GivenBack => later.entry(Duration::ZERO).or_default().push(receipt),
            }
        }
        if let Err(error) = queues.delete(&self.queue, &done).await {
            warn!(%error, "messages done, but not deleted");
        }
        for (hidden, receipts) in later {
            if let Err(error) = queues.hide(&self.queue, &receipts, hidden).await {
                warn!(%error, "messages not given back");
            }
        }
    }
}

/// The pause after so many failures in a row.
fn pause(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.min(16)).min(LONGEST_PAUSE)
}

/// How long a message that has failed is kept back, by how often it was received.
fn backoff(times: u32) -> Duration {
    Duration::from_secs(1 << times.min(16)).min(LONGEST_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!([0, 1, 4, 5, 99].map(|failures| pause(failures).as_secs()), [1, 2, 16, 30, 30]);
        assert_eq!([1, 2, 9, 10, 99].map(|times| backoff(times).as_secs()), [2, 4, 512, 900, 900]);
    }
}
