//! A step of pruning as flags and recipes write it: `neurons=25%`.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Neurons between the two linear layers of a feed-forward network
    Neurons,
    /// Heads of attention, with the linear layers around them
    Heads,
    /// Whole layers of a transformer
    Layers,
    /// The small singular values of linear layers and embeddings: each becomes two smaller ones
    LowRank,
    /// Channels of convolutions
    Channels,
    /// Trees of an ensemble
    Trees,
    /// Blocks of 16 outputs and 4 inputs of linear layers: int8 is faster without them
    Blocks,
    /// Single weights of linear layers: the package is smaller, and nothing is faster
    Weights,
}

impl Method {
    /// Whether it holds weights at zero and leaves shapes as they are. What fits layers anew after it would fill the gaps.
    pub fn is_thinning(self) -> bool {
        matches!(self, Self::Blocks | Self::Weights)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// A part of the whole, above 0 and below 1: `25%` or `0.25`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "Given", into = "f64")]
pub struct Part(f64);

impl Part {
    /// From a number above 0 and below 1.
    ///
    /// # Errors
    /// Another number.
    pub fn new(part: f64) -> Result<Self, String> {
        if part > 0.0 && part < 1.0 {
            return Ok(Self(part));
        }
        Err(format!("expected a part between 0 and 1, such as 0.25 or 25%, got {part}"))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// How many that is of so many, at least one left over.
    pub fn of(self, count: usize) -> usize {
        ((count as f64 * self.0).round() as usize).min(count.saturating_sub(1))
    }
}

impl From<Part> for f64 {
    fn from(part: Part) -> Self {
        part.0
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
        let number: f64 = number.trim().parse().map_err(|_| format!("expected 0.25 or 25%, got {text:?}"))?;
        Self::new(number / unit)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", (self.0 * 1e6).round() / 1e4)
    }
}

/// How a recipe may write a part.
#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Number(f64),
    Text(String),
}

impl TryFrom<Given> for Part {
    type Error = String;

    fn try_from(given: Given) -> Result<Self, String> {
        match given {
            Given::Number(number) => Self::new(number),
            Given::Text(text) => text.parse(),
        }
    }
}

/// One method, and how much of what it takes out goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What is taken out.
    pub method: Method,
    /// Which part of it.
    pub amount: Part,
    /// Patterns for the names of nodes that stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
}

/// Whether the steps can be taken in this order.
///
/// # Errors
/// A step that would undo the one before it.
pub fn check_order(steps: &[Step]) -> Result<(), String> {
    let undone = steps.windows(2).find(|pair| pair[0].method.is_thinning());
    let Some([first, second]) = undone else { return Ok(()) };
    if second.method.is_thinning() {
        return Err(format!("expected one of {first} and {second}: both choose among the same weights"));
    }
    Err(format!(
        "expected {first} after {second}, which fits layers anew and would fill what {} left empty",
        first.method
    ))
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let methods = || {
            let names = Method::value_variants().iter().map(ToString::to_string);
            names.collect::<Vec<_>>().join(", ")
        };
        let expected = || format!("expected METHOD=PART, such as neurons=25%, got {text:?}; methods are {}", methods());
        let (method, amount) = text.split_once('=').ok_or_else(expected)?;
        let method = Method::from_str(method.trim(), true).map_err(|_| expected())?;
        Ok(Self { method, amount: amount.trim().parse()?, keep: Vec::new() })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.method, self.amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_from_a_flag_and_written_as_one() {
        let step: Step = "low-rank = 12.5 %".parse().unwrap();
        assert_eq!(
            (step.method, step.amount.get(), step.to_string().as_str()),
            (Method::LowRank, 0.125, "low-rank=12.5%")
        );
        for (text, reason) in [("neurons", "expected METHOD=PART"), ("ears=1%", "methods are neurons, heads")] {
            assert!(text.parse::<Step>().unwrap_err().contains(reason), "{text}");
        }
        for text in ["heads=0", "heads=100%", "heads=-1%", "heads=nan"] {
            assert!(text.parse::<Step>().unwrap_err().contains("between 0 and 1"), "{text}");
        }
    }

    #[test]
    fn a_step_is_read_from_a_recipe() {
        let step = |text: &str| toml::from_str::<Step>(text);
        let written = step("method = \"neurons\"\namount = \"25%\"\nkeep = [\"layer_0*\"]").unwrap();
        assert_eq!(written, step("method = \"neurons\"\namount = 0.25\nkeep = [\"layer_0*\"]").unwrap());
        assert!(step("method = \"neurons\"\namount = 2").unwrap_err().to_string().contains("between 0 and 1"));
    }

    #[test]
    fn steps_that_hold_weights_come_last_and_alone() {
        let check = |steps: &[&str]| check_order(&steps.iter().map(|step| step.parse().unwrap()).collect::<Vec<_>>());
        assert_eq!(check(&["heads=1%", "neurons=2%", "blocks=50%"]), Ok(()));
        let refused = check(&["weights=50%", "neurons=25%"]).unwrap_err();
        assert!(refused.starts_with("expected weights=50% after neurons=25%"), "{refused}");
        assert!(check(&["blocks=50%", "weights=50%"]).unwrap_err().starts_with("expected one of"));
    }

    #[test]
    fn something_is_always_left() {
        assert_eq!([1, 2, 10].map(|count| Part::new(0.9).unwrap().of(count)), [0, 1, 9]);
    }
}
