//! A package's answers against the source's.

mod labels;
mod picture;
mod tokens;
mod values;
mod vectors;

use anyhow::{Result, bail, ensure};
use emberlite::engine::Isa;
use serde::Serialize;

use super::answers::Answers;
use super::statistics::Paired;
use crate::data::{Data, Example, Input, Label};
use emberlite::task::Payload;

pub use labels::LabelsOutcome;
pub use tokens::TokensOutcome;
pub use values::ValuesOutcome;
pub use vectors::{Cosines, VectorsOutcome};

/// How many of the worst examples are kept.
const CASES: usize = 20;
/// How much is shown of an input, in characters.
const SHOWN: usize = 160;

/// How near a package's answers are to those of the model it was made from.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// What the data is called.
    pub data: String,
    /// How many examples both were asked.
    pub examples: usize,
    /// How many of them tell what the answer should be.
    pub labelled: usize,
    /// The instruction set both ran on.
    pub isa: String,
    /// What came out, by the kind of answer.
    pub outcome: Outcome,
    /// The examples whose answers changed most, the worst first.
    pub worst: Vec<Case>,
}

/// What came out of a comparison, by the kind of answer.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Outcome {
    Vectors(VectorsOutcome),
    Labels(LabelsOutcome),
    Values(ValuesOutcome),
    Tokens(TokensOutcome),
}

/// How often both models are right, on the same examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Accuracy {
    /// On how many examples.
    pub examples: usize,
    /// The part that the source is right on.
    pub source: f64,
    /// The part that the package is right on.
    pub packed: f64,
    /// The package's part less the source's.
    pub difference: f64,
    /// Where the difference's 95 % confidence interval begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
}

/// How near both models' numbers are to given ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scored {
    /// On how many examples.
    pub examples: usize,
    /// The source's rank correlation with them.
    pub source: f64,
    /// The package's.
    pub packed: f64,
}

/// An example whose answer changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// Where it is found.
    pub name: String,
    /// What the models got, as far as it can be shown.
    pub input: String,
    /// What they should have answered, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What the source answers.
    pub source: String,
    /// What the package answers.
    pub packed: String,
    /// The picture that they got, as a `data:` URL, where it is a small one. It is in no JSON.
    #[serde(skip)]
    pub picture: Option<String>,
    /// How much that differs; what it is depends on the kind of answer.
    pub distance: f64,
}

impl Comparison {
    /// Compares what both say of the same data.
    ///
    /// # Errors
    /// Answers of two kinds, or of other examples.
    pub fn new(source: &Answers, packed: &Answers, data: &Data) -> Result<Self> {
        let (outcome, mut worst) = match (source, packed) {
            (Answers::Vectors(source), Answers::Vectors(packed)) => vectors::compare(source, packed, data)?,
            (Answers::Labels(source), Answers::Labels(packed)) => labels::compare(source, packed, data)?,
            (Answers::Values(source), Answers::Values(packed)) => values::compare(source, packed, data)?,
            (Answers::Tokens { passages, predictions }, Answers::Tokens { passages: others, predictions: packed }) => {
                tokens::compare((passages, predictions), (others, packed))
            }
            _ => bail!("the package answers in another way than its source"),
        };
        worst.sort_by(|a, b| b.distance.total_cmp(&a.distance));
        worst.truncate(CASES);
        Ok(Self {
            data: data.name.clone(),
            examples: data.examples.len(),
            labelled: data.labelled(),
            isa: Isa::current().to_string(),
            outcome,
            worst,
        })
    }
}

impl Accuracy {
    fn of(pairs: impl Iterator<Item = (bool, bool)>) -> Option<Self> {
        let pairs: Vec<_> = pairs.collect();
        let paired = Paired::of(pairs.iter().copied());
        let (low, high) = paired.difference();
        let (source, packed) = (paired.first(), paired.second());
        let accuracy = Self { examples: pairs.len(), source, packed, difference: packed - source, low, high };
        (!pairs.is_empty()).then_some(accuracy)
    }
}

/// Whether there is an answer of both for each example.
fn check(source: usize, packed: usize, data: &Data) -> Result<()> {
    let expected = data.examples.len();
    ensure!(
        source == expected && packed == expected,
        "there are {expected} examples, and {source} answers of the source and {packed} of the package"
    );
    Ok(())
}

impl Case {
    fn new(example: &Example, source: String, packed: String, distance: f64) -> Self {
        let input = match &example.input {
            Input::Text(text) => shortened(text),
            Input::Pair(first, second) => format!("{} | {}", shortened(first), shortened(second)),
            Input::Payload(Payload::Json(value)) if value.as_str().is_some_and(|text| text.len() > SHOWN) => {
                String::new()
            }
            Input::Payload(Payload::Json(value)) => shortened(&value.to_string()),
            Input::Payload(Payload::Image(_)) => String::new(),
            Input::Payload(Payload::Row(row)) => shortened(&row.to_string()),
        };
        let label = example.label.as_ref().map(|label| match label {
            Label::Classes(classes) => classes.join(", "),
            Label::Number(number) => number.to_string(),
        });
        let picture = picture::of(&example.input);
        Self { name: example.name.clone(), input, label, source, packed, picture, distance }
    }
}

/// A text on one line, its end left out where it is long.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests;
