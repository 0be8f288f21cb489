//! What a recipe may say of a language model.

use anyhow::{Result, ensure};

use crate::quantize::Scheme;
use crate::recipe::Recipe;

/// How the weights of a language model are written down where nothing is said.
pub(in crate::pack) const USUAL: Scheme = Scheme::Q4;
/// A perplexity that grows by more than this part is one that the user should know of.
const POOR: f64 = 0.1;

/// Refuses what is for models of another kind.
pub(super) fn check(recipe: &Recipe) -> Result<()> {
    let foreign = [
        ("labels", !recipe.labels.is_empty()),
        ("features", !recipe.features.is_empty()),
        ("image", recipe.image.is_some()),
        ("outputs", !recipe.outputs.is_empty()),
        ("pooling", recipe.text.pooling.is_some()),
        ("normalize", recipe.text.normalize.is_some()),
        ("vocabulary", recipe.vocabulary.is_some()),
    ];
    let set = foreign.into_iter().find(|(_, set)| *set);
    ensure!(set.is_none(), "{} is not for language models: this one generates texts", set.map_or("", |(name, _)| name));
    Ok(())
}

/// The longest sequence: what the recipe says, if the model can do so.
pub(super) fn context(recipe: &Recipe, most: usize) -> Result<usize> {
    let Some(asked) = recipe.text.max_tokens else { return Ok(most) };
    ensure!((1..=most).contains(&asked), "max_tokens is {asked}: the model takes 1 to {most} tokens");
    Ok(asked)
}

/// What to say of a perplexity that grew much.
pub(super) fn warning(source: f64, packed: f64) -> Option<String> {
    (packed > source * (1.0 + POOR)).then(|| {
        format!(
            "quantizing costs much here: the perplexity grows from {source:.2} to {packed:.2}; try --quantize \
             q4-calibrated, or int8"
        )
    })
}
