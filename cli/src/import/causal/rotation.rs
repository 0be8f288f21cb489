//! By what angles queries and keys are rotated: the base of the settings, and how it is stretched for long texts.

use std::f64::consts::TAU;

use serde_json::Value;

use super::architecture::Architecture;
use super::spans::{self, LOCAL, WHOLE};
use crate::import::FolderError;
use crate::import::folder::Settings;

/// A kind of scaling that is no name of transformers: the importer of another format tells what each angle is divided by.
pub(in crate::import) const FACTORS: &str = "frequency_factors";

/// The rotations of a layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rotation {
    /// The angle between neighbours, by pair of numbers; `[head_width / 2]`.
    pub(super) frequencies: Vec<f32>,
    /// What sines and cosines are multiplied by.
    pub(super) magnitude: f32,
    /// Whether the angles change beyond the length that the model was trained for.
    pub(super) dynamic: bool,
}

/// What the settings say of the rotations of some layers.
struct Parameters<'a> {
    config: &'a Settings,
    /// The setting that they are in, for errors.
    field: &'static str,
    values: Option<&'a Value>,
    theta: f64,
    positions: f64,
}

impl Rotation {
    /// Those of the layers that see everything, or of those with a window, read as transformers 4 writes them, or as 5.
    ///
    /// # Errors
    /// A kind of scaling that is not known, or one without its numbers.
    pub(super) fn of(
        architecture: &Architecture,
        config: &Settings,
        head_width: usize,
        local: bool,
    ) -> Result<Self, FolderError> {
        let parameters = Parameters::read(architecture, config, local)?;
        let pairs = head_width / 2;
        let width = head_width as f64;
        let plain: Vec<f64> = (0..pairs).map(|pair| parameters.theta.powf(-2.0 * pair as f64 / width)).collect();
        let kind = parameters.kind()?;
        let (frequencies, magnitude) = match kind {
            "default" | "dynamic" => (plain, 1.0),
            "linear" => {
                let factor = parameters.number("factor")?;
                (plain.into_iter().map(|frequency| frequency / factor).collect(), 1.0)
            }
            "llama3" => (parameters.llama3(plain)?, 1.0),
            "yarn" => parameters.yarn(plain, width)?,
            FACTORS => (parameters.divided(plain)?, 1.0),
            _ => return Err(parameters.refuse("the rope_type default, linear, llama3, yarn or dynamic")),
        };
        let frequencies = frequencies.into_iter().map(|frequency| frequency as f32).collect();
        Ok(Self { frequencies, magnitude: magnitude as f32, dynamic: kind == "dynamic" })
    }
}

impl<'a> Parameters<'a> {
    fn read(architecture: &Architecture, config: &'a Settings, local: bool) -> Result<Self, FolderError> {
        let positions = config.size("max_position_embeddings")? as f64;
        let other = architecture.local_theta.filter(|_| local);
        let usual = config.positive_or("rope_theta", architecture.theta)?;
        let old = match other {
            Some((field, default)) => config.positive_or(field, default)?,
            None => usual,
        };
        let (field, values) = match config.get("rope_parameters") {
            Some(parameters) => {
                let apart = [WHOLE, LOCAL].iter().any(|kind| spans::part(parameters, kind).is_some());
                let part = if apart {
                    spans::part(parameters, if local { LOCAL } else { WHOLE })
                } else {
                    Some(parameters).filter(|_| other.is_none())
                };
                ("rope_parameters", part)
            }
            None => ("rope_scaling", config.get("rope_scaling").filter(|_| other.is_none())),
        };
        let mut read = Self { config, field, values, theta: old, positions };
        read.theta = read.number_or("rope_theta", old)?;
        if read.number_or("partial_rotary_factor", 1.0)? != 1.0 {
            return Err(read.refuse("a partial_rotary_factor of 1"));
        }
        Ok(read)
    }

    fn kind(&self) -> Result<&'a str, FolderError> {
        let Some(values) = self.values else { return Ok("default") };
        match values.get("rope_type").or_else(|| values.get("type")) {
            None | Some(Value::Null) => Ok("default"),
            Some(kind) => kind.as_str().ok_or_else(|| self.refuse("a rope_type")),
        }
    }

    fn refuse(&self, expected: &str) -> FolderError {
        self.config.refuse(self.field, expected)
    }

    fn optional(&self, name: &str) -> Result<Option<f64>, FolderError> {
        match self.values.and_then(|values| values.get(name)).filter(|value| !value.is_null()) {
            None => Ok(None),
            Some(value) => {
                let number = value.as_f64().filter(|number| number.is_finite() && *number > 0.0);
                number.map(Some).ok_or_else(|| self.refuse(&format!("a number above 0 for {name}")))
            }
        }
    }

    fn number_or(&self, name: &str, default: f64) -> Result<f64, FolderError> {
        Ok(self.optional(name)?.unwrap_or(default))
    }

    fn number(&self, name: &str) -> Result<f64, FolderError> {
        self.optional(name)?.ok_or_else(|| self.refuse(&format!("a number for {name}")))
    }

    /// How long the texts were that the model was trained on first.
    fn original(&self) -> Result<f64, FolderError> {
        if self.config.get("original_max_position_embeddings").is_some() {
            return Ok(self.config.size("original_max_position_embeddings")? as f64);
        }
        self.number_or("original_max_position_embeddings", self.positions)
    }

    fn divided(&self, plain: Vec<f64>) -> Result<Vec<f64>, FolderError> {
        let factors = self.values.and_then(|values| values.get("factors")).and_then(Value::as_array);
        let factors: Option<Vec<f64>> = factors.and_then(|factors| factors.iter().map(Value::as_f64).collect());
        let fits = factors.filter(|factors| factors.len() == plain.len() && factors.iter().all(|factor| *factor > 0.0));
        let factors = fits.ok_or_else(|| self.refuse(&format!("{} factors above 0", plain.len())))?;
        Ok(plain.into_iter().zip(factors).map(|(frequency, factor)| frequency / factor).collect())
    }

    /// Slow rotations are slowed further, fast ones stay, and between them there is a slope.
    fn llama3(&self, plain: Vec<f64>) -> Result<Vec<f64>, FolderError> {
        let factor = self.number("factor")?;
        let (low, high) = (self.number("low_freq_factor")?, self.number("high_freq_factor")?);
        let original = self.original()?;
        let stretched = |frequency: f64| {
            let turns = original * frequency / TAU;
            if turns < low {
                frequency / factor
            } else if turns > high {
                frequency
            } else {
                let smooth = (turns - low) / (high - low);
                (1.0 - smooth) * frequency / factor + smooth * frequency
            }
        };
        Ok(plain.into_iter().map(stretched).collect())
    }

    /// Yarn (Peng et al. 2023): as [`llama3`](Self::llama3) with another slope, and scores that are sharpened.
    fn yarn(&self, plain: Vec<f64>, width: f64) -> Result<(Vec<f64>, f64), FolderError> {
        let original = self.original()?;
        let factor = self.number_or("factor", self.positions / original)?;
        let (fast, slow) = (self.number_or("beta_fast", 32.0)?, self.number_or("beta_slow", 1.0)?);
        // The pair that turns so often over the original length.
        let pair = |turns: f64| width * (original / (turns * TAU)).ln() / (2.0 * self.theta.ln());
        let (mut low, mut high) = (pair(fast), pair(slow));
        let truncate = self.values.and_then(|values| values.get("truncate")).and_then(Value::as_bool);
        if truncate.unwrap_or(true) {
            (low, high) = (low.floor(), high.ceil());
        }
        (low, high) = (low.max(0.0), high.min(width - 1.0));
        let slope = if high == low { 0.001 } else { high - low };
        let stretched = |(pair, frequency): (usize, f64)| {
            let part = ((pair as f64 - low) / slope).clamp(0.0, 1.0);
            frequency / factor * part + frequency * (1.0 - part)
        };
        let sharpness = |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
        let usual = match (self.optional("mscale")?, self.optional("mscale_all_dim")?) {
            (Some(scale), Some(all)) => sharpness(scale) / sharpness(all),
            _ => sharpness(1.0),
        };
        let magnitude = self.number_or("attention_factor", usual)?;
        Ok((plain.into_iter().enumerate().map(stretched).collect(), magnitude))
    }
}
