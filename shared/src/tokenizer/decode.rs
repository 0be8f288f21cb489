//! Tokens back to text: the bytes that each token stands for, and a text that grows token by token.
//!
//! What `tokenizers` calls a decoder is worked out once for every token of the vocabulary; what is left for a text is
//! the space that some decoders take away at its start.

mod stream;
mod table;

use std::collections::HashMap;

use serde::Deserialize;

pub use stream::Detokenizer;
pub use table::TokenBytes;

/// A decoder as a `tokenizer.json` describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type")]
pub(super) enum Decoder {
    Sequence {
        decoders: Vec<Decoder>,
    },
    Replace {
        pattern: Pattern,
        content: String,
    },
    Metaspace {
        replacement: char,
        #[serde(default)]
        prepend_scheme: Option<String>,
        #[serde(default)]
        add_prefix_space: Option<bool>,
    },
    Strip {
        content: char,
        start: usize,
        stop: usize,
    },
    ByteLevel,
    ByteFallback,
    Fuse,
    /// WordPiece and its like: of no language model that writes.
    #[serde(other)]
    Other,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) enum Pattern {
    String(String),
    Regex(String),
}

/// What is done to every token, and to the start of a text.
#[derive(Debug, Default)]
struct Rules {
    steps: Vec<Step>,
    /// Spaces that are taken away at the start of a text.
    leading_spaces: usize,
}

#[derive(Debug)]
enum Step {
    Replace(String, String),
    Strip { content: char, start: usize, stop: usize },
    ByteLevel,
    ByteFallback,
}

impl Rules {
    /// # Errors
    /// A decoder that is not known here, by name.
    fn new(decoder: Option<&Decoder>) -> Result<Self, String> {
        let mut rules = Self::default();
        if let Some(decoder) = decoder {
            rules.add(decoder, &mut false)?;
        }
        Ok(rules)
    }

    fn add(&mut self, decoder: &Decoder, fused: &mut bool) -> Result<(), String> {
        match decoder {
            Decoder::Sequence { decoders } => {
                decoders.iter().try_for_each(|decoder| self.add(decoder, fused))?;
            }
            Decoder::Replace { pattern: Pattern::String(pattern), content } => {
                self.steps.push(Step::Replace(pattern.clone(), content.clone()));
            }
            Decoder::Replace { pattern: Pattern::Regex(pattern), .. } => {
                return Err(format!("its decoder replaces the regular expression {pattern:?}: expected a text"));
            }
            Decoder::Metaspace { replacement, prepend_scheme, add_prefix_space } => {
                self.steps.push(Step::Replace(replacement.to_string(), " ".to_owned()));
                let prepends = match prepend_scheme.as_deref() {
                    Some(scheme) => scheme != "never",
                    None => add_prefix_space.unwrap_or(true),
                };
                self.leading_spaces += usize::from(prepends);
            }
            Decoder::Strip { content: ' ', start, stop: 0 } if *fused => self.leading_spaces += start,
            Decoder::Strip { content, start, stop } if *fused => {
                return Err(format!(
                    "its decoder strips {start} and {stop} times {content:?} from a text: expected spaces at the start"
                ));
            }
            Decoder::Strip { content, start, stop } => {
                self.steps.push(Step::Strip { content: *content, start: *start, stop: *stop });
            }
            Decoder::ByteLevel => self.steps.push(Step::ByteLevel),
            Decoder::ByteFallback => self.steps.push(Step::ByteFallback),
            Decoder::Fuse => *fused = true,
            Decoder::Other => return Err("its decoder is not supported: expected one of byte pairs".to_owned()),
        }
        Ok(())
    }

    /// The bytes of a token with this text.
    fn bytes(&self, text: &str, alphabet: &HashMap<char, u8>) -> Vec<u8> {
        let mut text = text.to_owned();
        for step in &self.steps {
            match step {
                Step::Replace(pattern, content) => text = text.replace(pattern, content),
                Step::Strip { content, start, stop } => text = stripped(&text, *content, *start, *stop).to_owned(),
                Step::ByteFallback => {
                    if let Some(byte) = fallback(&text) {
                        return vec![byte];
                    }
                }
                Step::ByteLevel => {
                    let bytes: Option<Vec<u8>> = text.chars().map(|c| alphabet.get(&c).copied()).collect();
                    return bytes.unwrap_or_else(|| text.into_bytes());
                }
            }
        }
        text.into_bytes()
    }
}

fn stripped(text: &str, content: char, start: usize, stop: usize) -> &str {
    let mut kept = text;
    for _ in 0..start {
        kept = kept.strip_prefix(content).unwrap_or(kept);
    }
    for _ in 0..stop {
        kept = kept.strip_suffix(content).unwrap_or(kept);
    }
    kept
}

/// The byte that a token such as `<0x0A>` stands for.
fn fallback(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// The characters that stand for bytes in byte-level vocabularies: those that print stand for themselves, the others
/// are counted on from U+0100.
fn alphabet() -> HashMap<char, u8> {
    let prints = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut next = 0x100;
    (0..=255)
        .filter_map(|byte| {
            if prints(byte) {
                return Some((char::from(byte), byte));
            }
            next += 1;
            Some((char::from_u32(next - 1)?, byte))
        })
        .collect()
}
