//! The text of a choice as it grows: whole characters, and nothing of a stop, even where it comes in pieces.

use std::sync::Arc;

use super::logprobs::TokenLogprob;
use crate::tokenizer::{Detokenizer, TokenBytes};

/// A text that grows token by token, and what of it may be told.
#[derive(Debug)]
pub(super) struct Growing {
    detokenizer: Detokenizer,
    stops: Arc<[String]>,
    /// What may become a stop.
    held: String,
    /// How many bytes were told.
    told: usize,
    characters: usize,
    /// Tokens whose text was not told yet, each with where it ends.
    tokens: Vec<(usize, TokenLogprob)>,
}

/// What can be told of a text, and whether it has ended.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) text: String,
    pub(super) tokens: Vec<TokenLogprob>,
    pub(super) stopped: bool,
}

impl Growing {
    /// `continues` says whether the text goes on from the prompt or is one of its own.
    pub(super) fn new(table: Arc<TokenBytes>, continues: bool, stops: Arc<[String]>) -> Self {
        let detokenizer = if continues { Detokenizer::continuing(table) } else { Detokenizer::new(table) };
        Self { detokenizer, stops, held: String::new(), told: 0, characters: 0, tokens: Vec::new() }
    }

    /// Adds a token, with how probable it was where that is to be told.
    pub(super) fn push(&mut self, id: u32, logprob: Option<TokenLogprob>) -> Told {
        let text = self.detokenizer.push(id);
        self.add(&text, logprob);
        self.tell(false)
    }

    /// Ends the text: what was held is told.
    pub(super) fn finish(&mut self) -> Told {
        let text = self.detokenizer.finish();
        self.add(&text, None);
        self.tell(true)
    }

    fn add(&mut self, text: &str, logprob: Option<TokenLogprob>) {
        let offset = self.characters;
        self.held.push_str(text);
        self.characters += text.chars().count();
        self.tokens.extend(logprob.map(|logprob| (self.told + self.held.len(), TokenLogprob { offset, ..logprob })));
    }

    fn tell(&mut self, all: bool) -> Told {
        let stop = self.stops.iter().filter_map(|stop| self.held.find(&**stop)).min();
        let ready = match stop {
            Some(start) => start,
            None if all => self.held.len(),
            None => self.held.len() - self.stops.iter().map(|stop| begun(&self.held, stop)).max().unwrap_or(0),
        };
        let text: String = self.held.drain(..ready).collect();
        self.told += text.len();
        let whole = self.tokens.iter().take_while(|(end, _)| all || *end <= self.told).count();
        let tokens = self.tokens.drain(..whole).map(|(_, token)| token).collect();
        Told { text, tokens, stopped: stop.is_some() }
    }
}

/// How many bytes at the end of `text` are the start of `stop`.
fn begun(text: &str, stop: &str) -> usize {
    let longest = text.len().min(stop.len().saturating_sub(1));
    (1..=longest).rev().find(|&length| text.as_bytes().ends_with(&stop.as_bytes()[..length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENIZER: &str = r#"{
        "decoder": {"type": "ByteLevel"},
        "model": {
            "type": "BPE", "merges": [],
            "vocab": {"a": 0, "b": 1, "EN": 2, "D": 3, "Ġ": 4, "ð": 5, "Ł": 6, "ĺ": 7, "Ģ": 8}
        }
    }"#;

    fn told(stops: &[&str], ids: &[u32]) -> Vec<String> {
        let table = crate::tokenizer::Tokenizer::from_json(TOKENIZER.as_bytes()).unwrap().token_bytes().unwrap();
        let stops = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut text = Growing::new(Arc::new(table), true, stops);
        let mut all = Vec::new();
        for id in ids {
            let told = text.push(*id, None);
            all.push(told.text);
            if told.stopped {
                all.push("|".to_owned());
                return all;
            }
        }
        all.push(text.finish().text);
        all
    }

    #[test]
    fn a_stop_across_tokens_is_never_told() {
        assert_eq!(told(&["END"], &[0, 2, 3, 0]), ["a", "", "", "|"]);
        assert_eq!(told(&["ND"], &[0, 2, 3, 0]), ["a", "E", "", "|"]);
    }

    #[test]
    fn what_only_looked_like_a_stop_is_told_after_all() {
        assert_eq!(told(&["END"], &[2, 0]), ["", "ENa", ""]);
        assert_eq!(told(&["END"], &[0, 2]), ["a", "", "EN"]);
        assert_eq!(told(&["aab"], &[0, 0, 0, 1]), ["", "", "a", "", "|"]);
    }

    #[test]
    fn the_earliest_stop_counts() {
        assert_eq!(told(&["D", "EN"], &[0, 2, 3]), ["a", "", "|"]);
    }

    #[test]
    fn characters_come_whole() {
        assert_eq!(told(&[], &[0, 5, 6, 7, 8, 1]), ["a", "", "", "", "😀", "b", ""]);
        assert_eq!(told(&[], &[5, 6]), ["", "", "\u{fffd}"]);
        assert_eq!(told(&[], &[5, 6, 0]), ["", "", "\u{fffd}a", ""]);
    }
}
