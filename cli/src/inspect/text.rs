//! What a package says about texts, in a few lines.

use std::fmt;

use emberlite::model::{TextSpec, Vocabulary};
use serde::Serialize;

/// How texts become tensors, and what is left of the vocabulary.
pub(super) struct TextPart<'a> {
    pub(super) text: &'a TextSpec,
    pub(super) vocabulary: Option<&'a Vocabulary>,
}

impl fmt::Display for TextPart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text;
        writeln!(f, "  at most    {} tokens", text.max_tokens)?;
        if let Some(pooling) = text.pooling {
            writeln!(f, "  pooling    {}", word(pooling))?;
        }
        if text.normalize {
            writeln!(f, "  length     vectors are scaled to 1")?;
        }
        if let Some(problem) = text.problem {
            writeln!(f, "  problem    {}", word(problem))?;
        }
        for (name, prompt) in &text.prompts {
            let default = if text.default_prompt.as_ref() == Some(name) { " (default)" } else { "" };
            writeln!(f, "  prompt     {name}{default}: {prompt:?}")?;
        }
        match self.vocabulary {
            Some(Vocabulary { tokens, of, texts }) => writeln!(f, "  tokens     {tokens} of {of}, for {texts} texts"),
            None => Ok(()),
        }
    }
}

/// A setting as it is written in a manifest.
fn word(setting: impl Serialize) -> String {
    let value = serde_json::to_value(setting).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
