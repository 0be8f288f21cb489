//! A text that grows token by token and never ends inside a character.

use std::sync::Arc;

use super::TokenBytes;

/// Puts tokens together to a text, handing it out in whole characters.
#[derive(Clone, Debug)]
pub struct Detokenizer {
    table: Arc<TokenBytes>,
    /// The start of a character whose other bytes are still to come.
    pending: Vec<u8>,
    /// Spaces that are still to be taken away, while nothing but such has come.
    spaces: usize,
}

impl Detokenizer {
    /// A text of its own: spaces that the tokenizer puts before every text are left out.
    pub fn new(table: Arc<TokenBytes>) -> Self {
        let spaces = table.leading_spaces();
        Self { table, pending: Vec::new(), spaces }
    }

    /// A text that goes on from another.
    pub fn continuing(table: Arc<TokenBytes>) -> Self {
        Self { table, pending: Vec::new(), spaces: 0 }
    }

    /// Adds a token; answers the characters that are whole by now.
    pub fn push(&mut self, id: u32) -> String {
        let mut bytes = self.table.of(id);
        while self.spaces > 0 && !bytes.is_empty() {
            match bytes.strip_prefix(b" ") {
                Some(rest) => {
                    bytes = rest;
                    self.spaces -= 1;
                }
                None => self.spaces = 0,
            }
        }
        if self.pending.is_empty()
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            return text.to_owned();
        }
        self.pending.extend_from_slice(bytes);
        let whole = whole(&self.pending);
        let text = String::from_utf8_lossy(&self.pending[..whole]).into_owned();
        self.pending.drain(..whole);
        text
    }

    /// What is left at the end: bytes that never became a character, as U+FFFD.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

/// How many bytes there are up to a last character that is only begun.
fn whole(bytes: &[u8]) -> usize {
    let mut start = 0;
    loop {
        match std::str::from_utf8(&bytes[start..]) {
            Ok(_) => return bytes.len(),
            Err(error) => match error.error_len() {
                None => return start + error.valid_up_to(),
                Some(wrong) => start += error.valid_up_to() + wrong,
            },
        }
    }
}
