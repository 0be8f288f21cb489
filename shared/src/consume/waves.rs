//! A batch of messages, some at a time, so that time that runs out finds most of them untouched or done.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Consumer, Fate, Limit};
use crate::events::Message;

/// How many messages are answered at once.
const WAVE: usize = 64;

impl Consumer {
    /// Sees to messages; answers what became of each.
    ///
    /// Messages of one group are delivered in order: where one fails, those behind it are given back.
    pub(crate) async fn consume(self: &Arc<Self>, messages: Vec<Message>, limit: &Limit) -> Vec<Fate> {
        let mut fates = vec![Fate::GivenBack; messages.len()];
        let mut closed = HashSet::new();
        let mut left: Vec<_> = messages.into_iter().enumerate().collect();
        while !left.is_empty() && !limit.is_reached() {
            let rest = left.split_off(left.len().min(WAVE));
            let is_open = |message: &Message| message.group.as_ref().is_none_or(|group| !closed.contains(group));
            let (places, wave): (Vec<_>, Vec<_>) = left.into_iter().filter(|(_, message)| is_open(message)).unzip();
            let answered = self.answer_messages(&wave, limit).await;
            let groups: Vec<_> = wave.iter().map(|message| message.group.clone()).collect();
            let of_wave = self.deliver(wave, answered, limit).await;
            for ((place, group), fate) in places.into_iter().zip(groups).zip(of_wave) {
                if fate != Fate::Done {
                    closed.extend(group);
                }
                fates[place] = fate;
            }
            left = rest;
        }
        fates
    }
}
