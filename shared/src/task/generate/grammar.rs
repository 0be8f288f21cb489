//! Output that is guaranteed to follow a JSON Schema: at each place only tokens are allowed that can still become such.

use std::fmt;
use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, SimpleVob, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use crate::tokenizer::TokenBytes;

/// White space that the output may have between its parts: enough for what models write, and never without end.
const WHITE_SPACE: &str = r"\n? {1,20}|\n";

/// Makes constraints for the texts of one model.
pub(super) struct Grammars {
    factory: ParserFactory,
}

impl fmt::Debug for Grammars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grammars").finish_non_exhaustive()
    }
}

impl Grammars {
    /// # Errors
    /// A vocabulary that can't be used, in words.
    pub(super) fn new(table: &TokenBytes, end_tokens: &[u32]) -> Result<Self, String> {
        let words: Vec<Vec<u8>> = (0..table.len() as u32).map(|id| word(table, id)).collect();
        let ends: Vec<u32> = end_tokens.iter().copied().filter(|id| (*id as usize) < words.len()).collect();
        let end = ends.first().copied().unwrap_or(0);
        let mut trie = TokTrie::from(&TokRxInfo::new(words.len() as u32, end), &words);
        if !ends.is_empty() {
            trie = trie.with_eos_tokens(&ends);
        }
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let capabilities = InferenceCapabilities::default();
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&environment, capabilities, &slices).map_err(|error| error.to_string())?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Ok(Self { factory })
    }

    /// A constraint to what follows `schema`.
    ///
    /// # Errors
    /// A schema that can't be followed, in words.
    pub(super) fn constraint(&self, schema: &Value) -> Result<Constraint, String> {
        let mut schema = schema.clone();
        if let Value::Object(fields) = &mut schema {
            fields.insert("x-guidance".to_owned(), json!({"whitespace_pattern": WHITE_SPACE}));
        }
        let parser = self.factory.create_parser(TopLevelGrammar::from_json_schema(schema));
        let matcher = Matcher::new(parser);
        match matcher.get_error() {
            Some(error) => Err(error),
            None => Ok(Constraint { matcher }),
        }
    }
}

/// What a token adds to a text; special tokens are marked as such.
fn word(table: &TokenBytes, id: u32) -> Vec<u8> {
    match table.special(id) {
        Some(text) => [&[TokTrie::SPECIAL_TOKEN_MARKER], text.as_bytes()].concat(),
        None => table.of(id).to_vec(),
    }
}

/// What of a schema's text has come, and so what may come next.
#[derive(Clone)]
pub struct Constraint {
    matcher: Matcher,
}

impl fmt::Debug for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Constraint").finish_non_exhaustive()
    }
}

impl Constraint {
    /// The tokens that may come next.
    ///
    /// # Errors
    /// A constraint that is too much for the library, in words.
    pub(super) fn allowed(&mut self) -> Result<SimpleVob, String> {
        self.matcher.compute_mask_or_eos().map_err(|error| error.to_string())
    }

    /// Goes on by a token that is allowed; answers whether the text is whole, so that nothing can follow.
    ///
    /// # Errors
    /// As [`Constraint::allowed`].
    pub(super) fn take(&mut self, token: u32) -> Result<bool, String> {
        self.matcher.consume_token(token).map_err(|error| error.to_string())?;
        Ok(self.matcher.is_stopped())
    }
}
