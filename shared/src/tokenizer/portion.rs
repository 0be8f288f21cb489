//! How much of a text is tokenized: of a long one, no more than its limit lets in.

use super::Overlong;

/// Tokens that are made beyond those that are kept: how a text is cut changes the tokens at the cut.
const MARGIN_TOKENS: usize = 64;
/// Bytes that are tokenized for each token that is kept; texts have a quarter of that for each.
const TOKEN_BYTES: usize = 16;

/// The tokens of as much of a text as was needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Portion {
    /// The ids, from the end that is kept.
    pub(super) ids: Vec<u32>,
    /// The bytes that were not tokenized; the ids are more than the limit lets in where there are any.
    pub(super) rest: usize,
}

impl Portion {
    /// The tokens of `text` that a limit of `max_tokens` lets in, and some more, or all of them. `tokenize` makes tokens
    /// of a part.
    pub(super) fn of<E>(
        text: &str,
        max_tokens: usize,
        overlong: Overlong,
        tokenize: impl Fn(&str) -> Result<Vec<u32>, E>,
    ) -> Result<Self, E> {
        let enough = max_tokens.saturating_add(MARGIN_TOKENS);
        let mut bytes = enough.saturating_mul(TOKEN_BYTES);
        loop {
            let part = if overlong == Overlong::CutStart { end(text, bytes) } else { start(text, bytes) };
            let portion = Self { ids: tokenize(part)?, rest: text.len() - part.len() };
            if portion.rest == 0 || portion.ids.len() >= enough {
                return Ok(portion);
            }
            bytes = bytes.saturating_mul(2);
        }
    }

    /// A number that orders texts by their lengths: the tokens of a text that was tokenized whole, and more of another.
    pub(super) fn length(&self) -> usize {
        self.ids.len() + self.rest
    }
}

/// The first `bytes` of a text or fewer, up to the end of a word; all of a text that is hardly longer.
fn start(text: &str, bytes: usize) -> &str {
    if text.len() / 2 <= bytes {
        return text;
    }
    let part = &text[..text.floor_char_boundary(bytes)];
    let (words, last) = part.rsplit_once(char::is_whitespace).unwrap_or((part, ""));
    if last.len() > part.len() / 4 { part } else { words.trim_end() }
}

/// The last `bytes` of a text or fewer, from the space before a word; all of a text that is hardly longer.
fn end(text: &str, bytes: usize) -> &str {
    if text.len() / 2 <= bytes {
        return text;
    }
    let part = &text[text.ceil_char_boundary(text.len() - bytes)..];
    match part.find(char::is_whitespace) {
        Some(space) if space <= part.len() / 4 => &part[space..],
        _ => part,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use super::*;

    /// A token for each word, as long as it is; and the bytes that were looked at.
    fn lengths(text: &str, overlong: Overlong) -> (Portion, usize) {
        let work = Cell::new(0);
        let tokenize = |part: &str| {
            work.set(work.get() + part.len());
            Ok::<_, Infallible>(part.split_whitespace().map(|word| word.len() as u32).collect())
        };
        let portion = Portion::of(text, 16, overlong, tokenize).unwrap();
        (portion, work.get())
    }

    #[test]
    fn of_a_huge_text_only_as_much_is_tokenized_as_is_kept() {
        let text = "one three ".repeat(500_000);
        for overlong in [Overlong::CutEnd, Overlong::CutStart, Overlong::Refuse] {
            let (portion, work) = lengths(&text, overlong);
            assert!(work < 4096, "{work}");
            assert!(portion.ids.len() > 16 && portion.length() > 1_000_000);
        }
        assert_eq!(lengths(&text, Overlong::CutEnd).0.ids[..2], [3, 5]);
        assert_eq!(lengths(&text, Overlong::CutStart).0.ids.last(), Some(&5));
    }

    #[test]
    fn a_text_of_few_tokens_is_tokenized_as_far_as_it_takes() {
        let text = format!("{} end", "a".repeat(100_000));
        let (portion, work) = lengths(&text, Overlong::CutEnd);
        assert_eq!(portion, Portion { ids: vec![100_000, 3], rest: 0 });
        assert!(work < 3 * text.len());
    }

    #[test]
    fn words_and_characters_stay_whole() {
        let text = "wörd ".repeat(1000);
        for bytes in 20..40 {
            assert!(start(&text, bytes).split_whitespace().all(|word| word == "wörd"));
            assert!(end(&text, bytes).split_whitespace().all(|word| word == "wörd"));
            assert!(start("中".repeat(100).as_str(), bytes).len() > bytes - 3);
        }
    }
}
