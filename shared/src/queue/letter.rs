//! A message that is to be sent.

use std::collections::HashMap;

use aws_sdk_sqs::types::MessageAttributeValue;

/// The longest value of an attribute, in characters: attributes count as a message's bytes do.
const LONGEST_VALUE: usize = 1024;

/// A message that is to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(super) body: String,
    pub(super) attributes: HashMap<String, MessageAttributeValue>,
    /// For a FIFO queue.
    pub(super) order: Option<Order>,
}

/// Where a message stands in a queue that keeps an order.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) group: String,
    /// What tells that two messages are the same.
    pub(super) deduplication: String,
}

impl Letter {
    /// A message with this body.
    pub(crate) fn new(body: String) -> Self {
        Self { body, attributes: HashMap::new(), order: None }
    }

    /// With an attribute, shortened if need be; characters that queues refuse become spaces. An empty one is left out.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        let is_refused = |c: char| (c.is_control() && !"\t\n\r".contains(c)) || "\u{fffe}\u{ffff}".contains(c);
        let value: String = value.chars().take(LONGEST_VALUE).map(|c| if is_refused(c) { ' ' } else { c }).collect();
        if !value.is_empty() {
            let text = MessageAttributeValue::builder().data_type("String").string_value(value);
            self.attributes.extend(text.build().ok().map(|value| (name.to_owned(), value)));
        }
        self
    }

    /// In a group, should the queue be one that keeps an order; two with the same `deduplication` are one.
    #[must_use]
    pub(crate) fn in_order(self, group: &str, deduplication: &str) -> Self {
        let order = Order { group: group.to_owned(), deduplication: deduplication.to_owned() };
        Self { order: Some(order), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_what_a_queue_takes() {
        let letter =
            Letter::new("{}".to_owned()).with("reason", &format!("a\u{1}b\n{}", "x".repeat(2000))).with("id", "");
        let reason = letter.attributes["reason"].string_value().unwrap_or_default().to_owned();
        assert!(reason.starts_with("a b\nxxx"), "{reason}");
        assert_eq!(reason.chars().count(), LONGEST_VALUE);
        assert!(!letter.attributes.contains_key("id"));
    }
}
