//! How far each layer of a language model sees.

use serde_json::Value;

use super::architecture::{Architecture, Spans};
use crate::import::FolderError;
use crate::import::folder::Settings;

/// A layer that sees every token before.
pub(super) const WHOLE: &str = "full_attention";
/// A layer that sees near tokens only.
pub(super) const LOCAL: &str = "sliding_attention";

/// The window of a setting that is not there.
const USUAL_WINDOW: usize = 4096;

/// For each layer how many tokens it sees, itself included; none for all.
///
/// # Errors
/// Kinds of layers that are not known, or not as many as there are layers.
pub(super) fn of(
    architecture: &Architecture,
    config: &Settings,
    layers: usize,
) -> Result<Vec<Option<usize>>, FolderError> {
    let used = match architecture.spans {
        Spans::Whole => false,
        Spans::Window | Spans::Pattern(_) => !config.is_null("sliding_window"),
        Spans::Upper => config.flag_or("use_sliding_window", false)? && !config.is_null("sliding_window"),
    };
    if !used {
        return Ok(vec![None; layers]);
    }
    let window = config.size_or("sliding_window", USUAL_WINDOW)?;
    let upper = match architecture.spans {
        Spans::Upper => config.count_or("max_window_layers", 28)?,
        _ => 0,
    };
    let pattern = match architecture.spans {
        Spans::Pattern(usual) => config.size_or("sliding_window_pattern", usual)?,
        _ => usize::MAX,
    };
    let listed = listed(config, layers)?;
    let is_local = |layer: usize| match &listed {
        Some(local) if architecture.spans != Spans::Window => local.get(layer).copied().unwrap_or(false),
        _ => layer >= upper && !(layer + 1).is_multiple_of(pattern),
    };
    Ok((0..layers).map(|layer| is_local(layer).then_some(window)).collect())
}

/// For each layer whether it is local, where the settings list that.
fn listed(config: &Settings, layers: usize) -> Result<Option<Vec<bool>>, FolderError> {
    let Some(value) = config.get("layer_types") else { return Ok(None) };
    let refused = || config.refuse("layer_types", &format!("a list of {WHOLE} and {LOCAL}, one for each layer"));
    let kinds = value.as_array().ok_or_else(refused)?.iter().map(|kind| match kind.as_str() {
        Some(WHOLE) => Some(false),
        Some(LOCAL) => Some(true),
        _ => None,
    });
    let listed: Option<Vec<bool>> = kinds.collect();
    listed.filter(|listed| listed.len() == layers).map(Some).ok_or_else(refused)
}

/// The part of `parameters` that speaks of layers of this kind, where they are told apart.
pub(super) fn part<'a>(parameters: &'a Value, kind: &str) -> Option<&'a Value> {
    parameters.get(kind).filter(|part| part.is_object())
}
