//! How far each layer of ModernBERT sees, and by what angles it rotates queries and keys.

use serde_json::Value;

use super::error::FolderError;
use super::settings::Settings;

/// A layer in which every token sees every other.
const GLOBAL: &str = "full_attention";
/// A layer in which a token sees near ones only.
const LOCAL: &str = "sliding_attention";

/// What the layers' attention is like.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    layers: Layers,
    /// How many tokens away a token sees in a local layer.
    window: usize,
    global_theta: f32,
    local_theta: f32,
}

/// Which layers are global.
#[derive(Clone, Debug)]
enum Layers {
    /// The first of so many, again and again.
    Every(usize),
    /// Those for which this says so.
    Listed(Vec<bool>),
}

impl Reach {
    /// Reads the settings as transformers 4 writes them, and as 5 does.
    ///
    /// # Errors
    /// Rotations or kinds of layers that are not known.
    pub(super) fn of(config: &Settings) -> Result<Self, FolderError> {
        if config.get("rope_scaling").is_some() {
            return Err(config.refuse("rope_scaling", "none"));
        }
        Ok(Self {
            layers: layers(config)?,
            window: config.size_or("local_attention", 128)? / 2,
            global_theta: theta(config, GLOBAL, "global_rope_theta", 160_000.0)?,
            local_theta: theta(config, LOCAL, "local_rope_theta", 10_000.0)?,
        })
    }

    /// The base of a layer's rotations and its window.
    pub(super) fn layer(&self, index: usize) -> (f32, Option<usize>) {
        let global = match &self.layers {
            Layers::Every(count) => index.is_multiple_of(*count),
            Layers::Listed(global) => global.get(index).copied().unwrap_or(true),
        };
        if global { (self.global_theta, None) } else { (self.local_theta, Some(self.window)) }
    }
}

fn layers(config: &Settings) -> Result<Layers, FolderError> {
    let Some(value) = config.get("layer_types") else {
        return Ok(Layers::Every(config.size_or("global_attn_every_n_layers", 3)?));
    };
    let refused = || config.refuse("layer_types", &format!("a list of {GLOBAL} and {LOCAL}, one for each layer"));
    let kinds = value.as_array().ok_or_else(refused)?.iter().map(|kind| match kind.as_str() {
        Some(GLOBAL) => Some(true),
        Some(LOCAL) => Some(false),
        _ => None,
    });
    let listed: Option<Vec<bool>> = kinds.collect();
    let count = config.size("num_hidden_layers")?;
    listed.filter(|listed| listed.len() == count).map(Layers::Listed).ok_or_else(refused)
}

fn theta(config: &Settings, kind: &str, field: &str, default: f64) -> Result<f32, FolderError> {
    let default = config.number_or(field, default)?;
    let parameters = config.get("rope_parameters").and_then(|parameters| parameters.get(kind));
    let refused = || config.refuse("rope_parameters", "a base `rope_theta` and the `rope_type` default for each kind");
    let Some(parameters) = parameters.filter(|parameters| !parameters.is_null()) else { return Ok(default as f32) };
    if parameters.get("rope_type").is_some_and(|kind| kind != "default") {
        return Err(refused());
    }
    parameters.get("rope_theta").map_or(Some(default), Value::as_f64).map(|theta| theta as f32).ok_or_else(refused)
}
