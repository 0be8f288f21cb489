//! What a model should answer: classes by their names, or a number.

use anyhow::{Context as _, Result, ensure};
use emberlite::model::{Manifest, Problem, Task};
use emberlite::task::classify;
use serde::Serialize;
use serde_json::Value;

use super::{Example, Kind};

/// What stands between several labels in one cell.
const SEPARATORS: [char; 3] = ['|', ';', ','];
/// How many labels an error shows.
const SHOWN: usize = 8;

/// What a model should answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Label {
    /// The class, or all that are right.
    Classes(Vec<String>),
    /// The number.
    Number(f64),
}

/// How the labels of a model's data are read.
pub(super) struct Labels {
    known: Vec<String>,
    many: bool,
}

impl Labels {
    pub(super) fn of(manifest: &Manifest) -> Self {
        let many = manifest.task == Task::Classify && classify::problem(manifest) == Problem::MultiLabel;
        let known = if Kind::of(manifest) == Kind::Labels { manifest.labels.clone() } else { Vec::new() };
        Self { known, many }
    }

    /// Spells every label as the model does: as its own that is equal but for case and punctuation, or whose index it is.
    ///
    /// # Errors
    /// Labels of which the model knows none.
    pub(super) fn settle(&self, examples: &mut [Example]) -> Result<()> {
        let mut foreign = Vec::new();
        let mut found = 0;
        for label in examples.iter_mut().filter_map(|example| example.label.as_mut()) {
            let Label::Classes(classes) = label else { continue };
            if let (true, [cell]) = (self.many, classes.as_slice()) {
                *classes = cell.split(SEPARATORS).map(|class| class.trim().to_owned()).collect();
            }
            classes.retain(|class| !class.is_empty());
            for class in classes.iter_mut() {
                match self.spelled(class) {
                    Some(known) => {
                        *class = known;
                        found += 1;
                    }
                    None => foreign.push(class.clone()),
                }
            }
            classes.sort();
        }
        let shown = |labels: &[String]| {
            let shown: Vec<_> = labels.iter().take(SHOWN).map(|label| format!("{label:?}")).collect();
            let more = if labels.len() > SHOWN { ", …" } else { "" };
            format!("{}{more}", shown.join(", "))
        };
        foreign.dedup();
        ensure!(
            self.known.is_empty() || found > 0 || foreign.is_empty(),
            "none of its labels is one of the model's: expected {}, got {}; name another column with --label",
            shown(&self.known),
            shown(&foreign)
        );
        Ok(())
    }

    fn spelled(&self, class: &str) -> Option<String> {
        if self.known.iter().any(|known| known == class) {
            return Some(class.to_owned());
        }
        let mut alike = self.known.iter().filter(|known| plain(known) == plain(class));
        match (alike.next(), alike.next()) {
            (Some(only), None) => Some(only.clone()),
            _ => class.parse::<usize>().ok().and_then(|index| self.known.get(index)).cloned(),
        }
    }
}

fn plain(label: &str) -> String {
    label.to_lowercase().chars().filter(|letter| letter.is_alphanumeric()).collect()
}

/// A label as a cell or a field says it; none where it is empty.
///
/// # Errors
/// What is neither a text nor a number, or no number where one is expected.
pub(super) fn read(value: &Value, kind: Kind, pair: bool) -> Result<Option<Label>> {
    if value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty()) {
        return Ok(None);
    }
    let is_class = kind == Kind::Labels || (kind == Kind::Vectors && !pair);
    if is_class {
        return Ok(Some(Label::Classes(classes(value)?)));
    }
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|number| number.is_finite());
    let number = number.with_context(|| format!("expected a number as the label, got {value}"))?;
    Ok(Some(Label::Number(number)))
}

fn classes(value: &Value) -> Result<Vec<String>> {
    match value {
        Value::String(text) => Ok(vec![text.trim().to_owned()]),
        Value::Bool(flag) => Ok(vec![flag.to_string()]),
        Value::Number(number) => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0).map(|number| format!("{number:.0}"));
            Ok(vec![whole.unwrap_or_else(|| number.to_string())])
        }
        Value::Array(list) => Ok(list.iter().map(classes).collect::<Result<Vec<_>>>()?.concat()),
        Value::Null | Value::Object(_) => anyhow::bail!("expected a text or a number as the label, got {value}"),
    }
}
