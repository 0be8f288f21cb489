//! What a package says about a language model, in a few lines.

use std::fmt;

use emberlite::model::GenerateSpec;

use crate::pack::Measured;

/// How texts are generated, and what packing cost.
pub(super) struct GeneratePart<'a> {
    pub(super) generate: &'a GenerateSpec,
}

impl fmt::Display for GeneratePart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = self.generate;
        writeln!(f, "  context    {} tokens", spec.context_tokens)?;
        writeln!(f, "  vocabulary {} tokens", spec.vocabulary)?;
        if let Some(token) = spec.begin_token {
            writeln!(f, "  begins     with token {token}")?;
        }
        if !spec.end_tokens.is_empty() {
            let tokens: Vec<_> = spec.end_tokens.iter().map(u32::to_string).collect();
            writeln!(f, "  ends       with token {}", tokens.join(" or "))?;
        }
        for (role, token) in &spec.special {
            writeln!(f, "  {role:<10} {token:?}")?;
        }
        match spec.chat_template.as_deref().map(|template| template.lines().count()) {
            Some(lines) => writeln!(f, "  chats      a template of {lines} lines")?,
            None => writeln!(f, "  chats      no template: plain prompts only")?,
        }
        let sampling = &spec.sampling;
        let top_k = sampling.top_k.map(|count| count as f32);
        let advice = [
            ("temperature", sampling.temperature),
            ("top_k", top_k),
            ("top_p", sampling.top_p),
            ("min_p", sampling.min_p),
            ("repetition_penalty", sampling.repetition_penalty),
        ];
        let advice: Vec<_> = advice.iter().filter_map(|(name, value)| Some(format!("{name} {}", (*value)?))).collect();
        if !advice.is_empty() {
            writeln!(f, "  sampling   {}", advice.join(", "))?;
        }
        spec.perplexity.as_ref().map_or(Ok(()), |perplexity| writeln!(f, "  loss       {}", Measured(perplexity)))
    }
}
