//! Results to where they belong, and messages that can't be answered to the dead-letter queue.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::answers::{Answered, Trouble};
use super::result::Outcome;
use super::{Consumer, Fate, Limit};
use crate::api::ApiError;
use crate::events::Message;
use crate::queue::{Letter, QueueError};

/// The longest message that every queue takes.
const LONGEST_MESSAGE: usize = 256 * 1024;
/// What a message's attributes may take of it.
const ATTRIBUTES: usize = 8 * 1024;
const JSON_LINES: &str = "application/jsonl";
/// The group of what has none, in a queue that keeps an order.
const NO_GROUP: &str = "emberlite";

impl From<QueueError> for ApiError {
    /// What the log says of a queue (names, accounts, roles) is not for those who ask.
    fn from(error: QueueError) -> Self {
        tracing::error!(%error, "queue not used");
        Self::unreachable("a queue can't be used; the log says why")
    }
}

impl Consumer {
    /// Delivers what was made of messages, and answers what became of each. Messages of one group wait for each other, and
    /// those behind one that fails are given back.
    pub(super) async fn deliver(
        self: &Arc<Self>,
        messages: Vec<Message>,
        answered: Vec<Answered>,
        limit: &Limit,
    ) -> Vec<Fate> {
        let interrupted = ApiError::internal("delivering was interrupted");
        let mut fates = vec![Fate::Failed(interrupted); messages.len()];
        let mut running = JoinSet::new();
        for sequence in sequences(messages, answered) {
            running.spawn(Arc::clone(self).deliver_in_order(sequence, limit.clone()));
        }
        while let Some(ended) = running.join_next().await {
            for (place, fate) in ended.unwrap_or_default() {
                fates[place] = fate;
            }
        }
        fates
    }

    async fn deliver_in_order(self: Arc<Self>, sequence: Vec<Delivery>, limit: Limit) -> Vec<(usize, Fate)> {
        let mut fates = Vec::with_capacity(sequence.len());
        let mut open = true;
        for Delivery { place, message, answered } in sequence {
            let fate = match open {
                true => limit.keep(self.deliver_one(&message, answered)).await.unwrap_or(Fate::GivenBack),
                false => Fate::GivenBack,
            };
            open &= fate == Fate::Done;
            fates.push((place, fate));
        }
        fates
    }

    async fn deliver_one(&self, message: &Message, answered: Answered) -> Fate {
        let _permit = self.deliveries.acquire().await;
        for outcome in &answered.outcomes {
            if let Err(error) = self.hand_over(message, outcome).await {
                return if error.is_final() { self.bury(message, error).await } else { failed(message, error) };
            }
        }
        match answered.trouble {
            None => Fate::Done,
            Some(Trouble::OutOfTime) => Fate::GivenBack,
            Some(Trouble::Failed(error)) => failed(message, error),
            Some(Trouble::Refused(error)) => self.bury(message, error).await,
        }
    }

    /// Puts a result into the bucket, unless it is there, and a message into the queue for replies.
    ///
    /// # Errors
    /// A place that can't be reached, or a result that fits into none.
    pub(super) async fn hand_over(&self, message: &Message, outcome: &Outcome) -> Result<(), ApiError> {
        if let Some(results) = &self.results {
            let written = results.write_new(&outcome.key, JSON_LINES, outcome.lines.clone()).await?;
            tracing::debug!(message_id = message.id, key = outcome.key, written, "result in the bucket");
        }
        let Some(queue) = &self.settings.replies else { return Ok(()) };
        let body = self.reply(outcome)?;
        let letter = Letter::new(body)
            .with("message_id", &message.id)
            .with("id", outcome.summary.id.as_deref().unwrap_or_default());
        let group = message.group.as_deref().unwrap_or(NO_GROUP);
        self.queues.send(queue, letter.in_order(group, &outcome.digest.to_string())).await?;
        Ok(())
    }

    /// The result itself where it fits into a message and is one line, else where it lies.
    fn reply(&self, outcome: &Outcome) -> Result<String, ApiError> {
        let limit = LONGEST_MESSAGE - ATTRIBUTES;
        let is_whole_object = outcome.summary.package.is_none();
        let body = match &self.results {
            Some(results) if is_whole_object || outcome.lines.len() > limit => {
                outcome.pointer(results.location().url(&outcome.key))?
            }
            None if outcome.lines.len() > limit => return Err(ApiError::answer_too_large(limit, outcome.lines.len())),
            _ => outcome.lines.trim_ascii_end().to_vec(),
        };
        String::from_utf8(body).map_err(|error| ApiError::internal(format!("the result is no text: {error}")))
    }

    /// Sends a message that can't be answered to the dead-letter queue, with the reason. Where there is none, or one that
    /// can't take a message of this size, it fails, so that its own queue moves it there.
    pub(super) async fn bury(&self, message: &Message, error: ApiError) -> Fate {
        let fits = message.body.len() <= LONGEST_MESSAGE - ATTRIBUTES;
        let Some(queue) = self.settings.dead_letters.as_ref().filter(|_| fits) else { return failed(message, error) };
        tracing::warn!(
            message_id = message.id,
            code = error.code(),
            error = error.message(),
            "message can't be answered"
        );
        let letter = Letter::new(message.body.clone()).with("code", error.code()).with("reason", error.message());
        let letter = letter.with("message_id", &message.id);
        let group = message.group.as_deref().unwrap_or(NO_GROUP);
        match self.queues.send(queue, letter.in_order(group, &message.id)).await {
            Ok(()) => Fate::Done,
            Err(unsent) => failed(message, unsent.into()),
        }
    }
}

fn failed(message: &Message, error: ApiError) -> Fate {
    tracing::warn!(message_id = message.id, code = error.code(), error = error.message(), "message failed");
    Fate::Failed(error)
}

/// What is to be delivered of a message.
#[derive(Debug)]
struct Delivery {
    place: usize,
    message: Message,
    answered: Answered,
}

/// Messages that have to wait for each other, in their order; all others alone.
fn sequences(messages: Vec<Message>, answered: Vec<Answered>) -> Vec<Vec<Delivery>> {
    let mut sequences: Vec<Vec<Delivery>> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for (place, (message, answered)) in messages.into_iter().zip(answered).enumerate() {
        let next = sequences.len();
        let sequence = message.group.clone().map_or(next, |group| *known.entry(group).or_insert(next));
        let delivery = Delivery { place, message, answered };
        match sequences.get_mut(sequence) {
            Some(sequence) => sequence.push(delivery),
            None => sequences.push(vec![delivery]),
        }
    }
    sequences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_of_one_group_wait_for_each_other() {
        let message =
            |group: Option<&str>| Message { id: String::new(), body: String::new(), group: group.map(str::to_owned) };
        let messages: Vec<_> = [Some("a"), None, Some("b"), Some("a"), None].into_iter().map(message).collect();
        let answered = messages.iter().map(|_| Answered::default()).collect();
        let places = |sequence: &Vec<Delivery>| sequence.iter().map(|delivery| delivery.place).collect::<Vec<_>>();
        let sequences: Vec<_> = sequences(messages, answered).iter().map(places).collect();
        assert_eq!(sequences, [vec![0, 3], vec![1], vec![2], vec![4]]);
    }
}
