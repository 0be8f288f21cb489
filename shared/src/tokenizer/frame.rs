//! The special tokens around one text, or around and between two.

use tokenizers::{Encoding, PostProcessor, PostProcessorWrapper, Token};

use super::portion::Portion;
use super::{EncodeError, Limit, Overlong, TokenizerError, Tokens};

/// A row with gaps for its texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    parts: Vec<Part>,
    special: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Special { id: u32, segment: u32 },
    First { segment: u32 },
    Second { segment: u32 },
}

/// Ids that stand for the texts while a frame is found out.
const FIRST: u32 = u32::MAX;
const SECOND: u32 = u32::MAX - 1;

impl Frame {
    /// The frame that a post-processor puts around one text, or around two.
    pub(super) fn new(processor: Option<&PostProcessorWrapper>, pair: bool) -> Result<Self, TokenizerError> {
        let stand_in = |id, segment| Encoding::from_tokens(vec![Token::new(id, String::new(), (0, 0))], segment);
        let (first, second) = (stand_in(FIRST, 0), pair.then(|| stand_in(SECOND, 1)));
        let Some(processor) = processor else {
            let mut parts = vec![Part::First { segment: 0 }];
            parts.extend(pair.then_some(Part::Second { segment: 1 }));
            return Ok(Self { parts, special: 0 });
        };
        let framed = processor.process(first, second, true).map_err(|error| TokenizerError(error.to_string()))?;
        let parts: Vec<_> = framed
            .get_ids()
            .iter()
            .zip(framed.get_type_ids())
            .map(|(&id, &segment)| match id {
                FIRST => Part::First { segment },
                SECOND => Part::Second { segment },
                id => Part::Special { id, segment },
            })
            .collect();
        let gaps = parts.iter().filter(|part| !matches!(part, Part::Special { .. })).count();
        if gaps != 1 + usize::from(pair) {
            let expected = 1 + usize::from(pair);
            return Err(TokenizerError(format!("its post-processor has {gaps} places for {expected} texts")));
        }
        Ok(Self { special: parts.len() - gaps, parts })
    }

    /// The row for the tokens of one text, or of two, cut as `limit` says.
    pub(super) fn fill(&self, first: &Portion, second: &Portion, limit: Limit) -> Result<Tokens, EncodeError> {
        let tokens = first.ids.len() + second.ids.len() + self.special;
        let whole = first.rest + second.rest == 0;
        let too_long = EncodeError::TooLong { max_tokens: limit.max_tokens, tokens, whole };
        let (first, second) = match (tokens > limit.max_tokens, limit.overlong) {
            (false, _) => (&first.ids[..], &second.ids[..]),
            (true, Overlong::Refuse) => return Err(too_long),
            (true, overlong) => {
                let room = limit.max_tokens.checked_sub(self.special).ok_or(too_long)?;
                let (kept_first, kept_second) = longest_first(first.length(), second.length(), room);
                (cut(&first.ids, kept_first, overlong), cut(&second.ids, kept_second, overlong))
            }
        };
        let mut row = Tokens::default();
        row.ids.reserve(first.len() + second.len() + self.special);
        row.segments.reserve(first.len() + second.len() + self.special);
        for part in &self.parts {
            match *part {
                Part::Special { id, segment } => row.push(&[id], segment),
                Part::First { segment } => row.push(first, segment),
                Part::Second { segment } => row.push(second, segment),
            }
        }
        Ok(row)
    }

    /// Ids without the special tokens of this frame, where they stand around them.
    pub(super) fn inner<'a>(&self, ids: &'a [u32]) -> &'a [u32] {
        let is_gap = |part: &Part| matches!(part, Part::First { .. });
        let gap = self.parts.iter().position(is_gap).unwrap_or(0);
        let special = |parts: &[Part]| -> Vec<u32> {
            let ids = parts.iter().filter_map(|part| match part {
                Part::Special { id, .. } => Some(*id),
                _ => None,
            });
            ids.collect()
        };
        let (before, after) = (special(&self.parts[..gap]), special(&self.parts[gap..]));
        ids.strip_prefix(&before[..]).and_then(|ids| ids.strip_suffix(&after[..])).unwrap_or(ids)
    }
}

impl Tokens {
    fn push(&mut self, ids: &[u32], segment: u32) {
        self.ids.extend(ids.iter().copied().map(i64::from));
        self.segments.resize(self.ids.len(), i64::from(segment));
    }
}

/// How much is kept of two texts that need to lose tokens: the longer loses first, then both alike.
fn longest_first(first: usize, second: usize, room: usize) -> (usize, usize) {
    let (shorter, longer) = (first.min(second), first.max(second));
    if shorter + longer <= room {
        return (first, second);
    }
    let (shorter, longer) = if 2 * shorter <= room { (shorter, room - shorter) } else { (room / 2, room - room / 2) };
    if first > second { (longer, shorter) } else { (shorter, longer) }
}

fn cut(tokens: &[u32], kept: usize, overlong: Overlong) -> &[u32] {
    match overlong {
        Overlong::CutStart => &tokens[tokens.len() - kept..],
        _ => &tokens[..kept],
    }
}
