//! Drafts by prompt lookup: what followed the last tokens when they came before may follow again.

use std::collections::HashMap;

/// How many tokens have to have come before: more are tried first.
const PATTERNS: [usize; 2] = [3, 2];

/// The longest draft.
pub(super) const LONGEST: usize = 8;

/// Looks up what may come next.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    /// The place of the token that followed some tokens when they came last.
    followed: HashMap<([u32; PATTERNS[0]], usize), usize>,
    known: usize,
}

impl Lookup {
    /// Up to `length` tokens that may follow `tokens`.
    pub(super) fn draft<'a>(&mut self, tokens: &'a [u32], length: usize) -> &'a [u32] {
        for next in self.known.max(1)..tokens.len() {
            for pattern in PATTERNS {
                if let Some(key) = key(&tokens[..next], pattern) {
                    self.followed.insert(key, next);
                }
            }
        }
        self.known = tokens.len();
        let place = PATTERNS.iter().find_map(|&pattern| self.followed.get(&key(tokens, pattern)?).copied());
        place.map_or(&[], |place| &tokens[place..(place + length).min(tokens.len())])
    }
}

/// The last tokens, as many as the pattern has.
fn key(tokens: &[u32], pattern: usize) -> Option<([u32; PATTERNS[0]], usize)> {
    let last = &tokens[tokens.len().checked_sub(pattern)?..];
    let mut key = [0; PATTERNS[0]];
    key[..pattern].copy_from_slice(last);
    Some((key, pattern))
}

/// What a request's drafts are worth: how long they should be, and whether there should be any.
#[derive(Debug)]
pub(super) struct Worth {
    /// How many tokens of a draft come true, of late.
    accepted: f32,
    /// How many tokens go without drafts.
    pause: usize,
    next_pause: usize,
}

impl Default for Worth {
    fn default() -> Self {
        Self { accepted: 1.5, pause: 0, next_pause: 16 }
    }
}

impl Worth {
    /// How long the next draft should be. `cost` tells how much longer a step takes with so many drafted tokens.
    pub(super) fn length(&mut self, cost: impl Fn(usize) -> f32) -> usize {
        if self.pause > 0 {
            self.pause -= 1;
            return 0;
        }
        let length = ((2.0 * self.accepted).round() as usize + 1).clamp(2, LONGEST);
        if 1.0 + self.accepted < 1.02 * cost(length) {
            self.pause = self.next_pause;
            self.next_pause = (2 * self.next_pause).min(512);
            // After the pause a draft gets another try.
            self.accepted = 1.5;
            return 0;
        }
        length
    }

    /// Of a draft so many tokens came true.
    pub(super) fn learn(&mut self, drafted: usize, accepted: usize) {
        self.accepted += 0.25 * (accepted as f32 - self.accepted);
        if accepted == drafted {
            self.next_pause = 16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_followed_before_is_drafted() {
        let mut lookup = Lookup::default();
        assert_eq!(lookup.draft(&[1, 2, 3, 4, 5], 3), [0; 0]);
        assert_eq!(lookup.draft(&[1, 2, 3, 4, 5, 1, 2], 3), [3, 4, 5]);
        assert_eq!(lookup.draft(&[1, 2, 3, 4, 5, 1, 2, 9, 1, 2], 3), [9, 1, 2]);
        assert_eq!(lookup.draft(&[1, 2, 3, 4, 5, 1, 2, 9, 1, 2, 3], 2), [4, 5]);
    }

    #[test]
    fn drafts_that_do_not_pay_are_given_up_and_tried_again() {
        let mut worth = Worth::default();
        let cost = |drafted| 1.0 + 0.2 * drafted as f32;
        let mut lengths = Vec::new();
        for _ in 0..60 {
            let length = worth.length(cost);
            lengths.push(length);
            if length > 0 {
                worth.learn(length, 0);
            }
        }
        assert!(lengths[0] > 0);
        assert!(lengths.iter().filter(|length| **length == 0).count() > 30);
        assert!(lengths[20..].iter().any(|length| *length > 0));
        let mut worth = Worth::default();
        for _ in 0..60 {
            let length = worth.length(cost);
            assert!(length > 0);
            worth.learn(length, length);
        }
    }
}
