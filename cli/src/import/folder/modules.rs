//! The modules of a sentence-transformers folder: what makes one vector of a text's tokens.

use std::path::{Path, PathBuf};

use emberlite::ops::{Activation, Pool, Pooling};
use serde_json::{Value, json};
use tract_core::ops::array::TypedConcat;
use tract_core::prelude::OutletId;

use super::checkpoint::{self, Checkpoint};
use super::error::FolderError;
use super::settings::{self, Settings};
use super::wiring::{self, Wiring};

const FILE: &str = "modules.json";

/// The flags of old folders, in the order in which several poolings are put side by side.
const FLAGS: [(&str, &str); 6] = [
    ("pooling_mode_cls_token", "cls"),
    ("pooling_mode_max_tokens", "max"),
    ("pooling_mode_mean_tokens", "mean"),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    ("pooling_mode_weightedmean_tokens", "weightedmean"),
    ("pooling_mode_lasttoken", "lasttoken"),
];

/// What follows the encoder.
#[derive(Clone, Debug)]
pub(super) struct Modules {
    /// Where the encoder's settings and weights are.
    pub(super) transformer: PathBuf,
    /// How tokens become one vector; several are put side by side. Empty where the folder does not tell.
    pub(super) poolings: Vec<Pooling>,
    dense: Vec<Dense>,
    /// Whether the vector is scaled to a length of 1 last.
    pub(super) normalize: bool,
}

#[derive(Clone, Debug)]
struct Dense {
    folder: PathBuf,
    inputs: usize,
    outputs: usize,
    bias: bool,
    activation: Option<Activation>,
}

impl Modules {
    /// The mean of the tokens.
    pub(super) fn mean(transformer: &Path) -> Self {
        Self { transformer: transformer.to_owned(), poolings: vec![Pooling::Mean], dense: vec![], normalize: false }
    }

    /// Reads `modules.json`; none if the folder has none.
    ///
    /// # Errors
    /// A module that is not known, or that stands where it is not expected.
    pub(super) fn find(root: &Path) -> Result<Option<Self>, FolderError> {
        let path = root.join(FILE);
        let Some(list) = settings::json(&path)? else { return Ok(None) };
        let broken = |reason: &str| FolderError::Broken { path: path.clone(), reason: reason.to_owned() };
        let mut modules: Option<Self> = None;
        for module in list.as_array().ok_or_else(|| broken("expected a list of modules"))? {
            let text = |field: &str| module.get(field).and_then(Value::as_str);
            let kind =
                text("type").and_then(|kind| kind.rsplit('.').next()).ok_or_else(|| broken("a module has no type"))?;
            let folder = root.join(text("path").unwrap_or(""));
            let unsupported = || FolderError::Unsupported {
                path: path.clone(),
                field: "type".to_owned(),
                got: text("type").unwrap_or_default().to_owned(),
                expected: "Transformer, Pooling, Dense and Normalize, in this order".to_owned(),
            };
            match (&mut modules, kind) {
                (None, "Transformer") => {
                    modules = Some(Self { transformer: folder, poolings: vec![], dense: vec![], normalize: false });
                }
                (Some(_), "Dropout") => {}
                (Some(made), "Pooling") if made.poolings.is_empty() => made.poolings = poolings(&folder)?,
                (Some(made), "Dense") if !made.poolings.is_empty() && !made.normalize => {
                    made.dense.push(dense(folder)?)
                }
                (Some(made), "Normalize") => made.normalize = true,
                _ => return Err(unsupported()),
            }
        }
        modules.map(Some).ok_or_else(|| broken("it names no module"))
    }

    /// Adds what makes one vector of `hidden`, `f32` `[N, S, width]`; gives it, `[N, vector]`. Nothing is normalised.
    ///
    /// # Errors
    /// Layers whose weights are missing or do not fit.
    pub(super) fn wire(&self, wiring: &mut Wiring, hidden: OutletId, mask: OutletId) -> Result<OutletId, FolderError> {
        let mut pooled = Vec::new();
        for (index, pooling) in self.poolings.iter().enumerate() {
            let name = if self.poolings.len() == 1 { "pool".to_owned() } else { format!("pool_{index}") };
            pooled.push(wiring.node(&name, Pool { pooling: *pooling }, &[hidden, mask])?);
        }
        let mut vector = match pooled[..] {
            [one] => one,
            _ => wiring.node("pool", TypedConcat { axis: 1 }, &pooled)?,
        };
        for (index, Dense { folder, inputs, outputs, bias, activation }) in self.dense.iter().enumerate() {
            let weights = Checkpoint::open(folder)?;
            let layer = wiring::Dense {
                node: &format!("dense_{index}"),
                tensors: &["linear".to_owned()],
                inputs: *inputs,
                outputs: *outputs,
                bias: *bias,
                activation: *activation,
            };
            vector = wiring.dense(&weights, layer, vector, None)?;
        }
        Ok(vector)
    }

    /// The files that the layers' weights are in.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.dense.iter().map(|dense| dense.folder.join(checkpoint::FILE))
    }
}

fn poolings(folder: &Path) -> Result<Vec<Pooling>, FolderError> {
    let config = required(folder)?;
    // INSTRUCTOR leaves the prompt's tokens out of the mean.
    config.only("include_prompt", json!(true))?;
    let mut modes: Vec<&str> = match config.get("pooling_mode") {
        Some(Value::String(mode)) => vec![mode],
        Some(Value::Array(modes)) => modes.iter().map(|mode| mode.as_str().unwrap_or("")).collect(),
        Some(_) => return Err(config.refuse("pooling_mode", "a name or several")),
        None => {
            FLAGS.iter().filter(|(flag, _)| config.get(flag) == Some(&json!(true))).map(|(_, mode)| *mode).collect()
        }
    };
    if modes.is_empty() {
        modes.push("mean");
    }
    let pooling = |mode: &str| match mode {
        "cls" => Ok(Pooling::Cls),
        "max" => Ok(Pooling::Max),
        "mean" => Ok(Pooling::Mean),
        "mean_sqrt_len_tokens" => Ok(Pooling::MeanSqrt),
        "lasttoken" => Ok(Pooling::LastToken),
        other => Err(FolderError::Unsupported {
            path: config.path().to_owned(),
            field: "pooling_mode".to_owned(),
            got: other.to_owned(),
            expected: "cls, max, mean, mean_sqrt_len_tokens or lasttoken".to_owned(),
        }),
    };
    modes.into_iter().map(pooling).collect()
}

fn dense(folder: PathBuf) -> Result<Dense, FolderError> {
    let config = required(&folder)?;
    config.only("module_input_name", json!("sentence_embedding"))?;
    config.only("module_output_name", json!("sentence_embedding"))?;
    config.only("use_residual", json!(false))?;
    let activation = config.text("activation_function").unwrap_or("torch.nn.modules.activation.Tanh");
    let activation = match activation.rsplit('.').next().unwrap_or("") {
        _ if !activation.starts_with("torch.nn.") => None,
        "Identity" => Some(None),
        "Tanh" => Some(Some(Activation::Tanh)),
        "GELU" => Some(Some(Activation::Gelu)),
        "ReLU" => Some(Some(Activation::Relu)),
        "SiLU" => Some(Some(Activation::Silu)),
        "Sigmoid" => Some(Some(Activation::Sigmoid)),
        _ => None,
    };
    let expected = "Identity, Tanh, GELU, ReLU, SiLU or Sigmoid of torch.nn";
    Ok(Dense {
        inputs: config.size("in_features")?,
        outputs: config.size("out_features")?,
        bias: config.flag_or("bias", true)?,
        activation: activation.ok_or_else(|| config.refuse("activation_function", expected))?,
        folder,
    })
}

fn required(folder: &Path) -> Result<Settings, FolderError> {
    Settings::find(&folder.join("config.json"))?.ok_or_else(|| FolderError::Missing {
        folder: folder.to_owned(),
        file: "config.json".to_owned(),
        remedy: "modules.json names it; save the model with sentence-transformers' save_pretrained",
    })
}
