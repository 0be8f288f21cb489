//! Which layers stay in a higher precision.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

/// What stands for the layers whose error stands out.
pub(crate) const AUTO: &str = "auto";
/// A layer whose error is above this stands out: alone it takes a third of the 0.003 that int8 may cost in all.
const STANDS_OUT: f64 = 0.001;

/// Patterns of layer names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep(Vec<String>);

impl Keep {
    /// From patterns in which `*` stands for any text and `?` for one character; `auto` is none, but stands for the
    /// layers whose error stands out.
    pub fn new(patterns: Vec<String>) -> Self {
        Self(patterns)
    }

    /// The layers to keep, of all in the graph's order.
    ///
    /// # Errors
    /// A pattern that fits no layer, or `auto` where no errors are known.
    pub fn choose(&self, layers: &[String], errors: &BTreeMap<String, f64>) -> Result<Vec<String>> {
        let mut kept: Vec<&String> = Vec::new();
        for pattern in &self.0 {
            if pattern == AUTO {
                ensure!(!errors.is_empty(), "`--keep auto` goes by the errors of int8: choose `--quantize int8`");
                kept.extend(layers.iter().filter(|layer| errors.get(*layer).is_some_and(|error| *error > STANDS_OUT)));
                continue;
            }
            let before = kept.len();
            kept.extend(layers.iter().filter(|layer| matches(pattern, layer)));
            ensure!(kept.len() > before, "no layer is called {pattern:?}: the layers are {}", layers.join(", "));
        }
        Ok(layers.iter().filter(|layer| kept.contains(layer)).cloned().collect())
    }
}

/// Whether a pattern fits a whole name.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let mut letters = pattern.chars();
    match letters.next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = letters.as_str();
            name.char_indices().map(|(index, _)| index).chain([name.len()]).any(|index| matches(rest, &name[index..]))
        }
        Some(letter) => {
            let mut others = name.chars();
            others.next().is_some_and(|other| letter == '?' || letter == other)
                && matches(letters.as_str(), others.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers() -> Vec<String> {
        ["embeddings", "layer_0.query", "layer_0.output", "layer_1.query", "head"].map(str::to_owned).to_vec()
    }

    fn choose(patterns: &[&str], errors: &[(&str, f64)]) -> Result<Vec<String>> {
        let errors = errors.iter().map(|(name, error)| ((*name).to_owned(), *error)).collect();
        Keep::new(patterns.iter().map(|pattern| (*pattern).to_owned()).collect()).choose(&layers(), &errors)
    }

    #[test]
    fn stars_stand_for_any_text_and_question_marks_for_one_character() {
        assert_eq!(choose(&["*.query"], &[]).unwrap(), ["layer_0.query", "layer_1.query"]);
        assert_eq!(choose(&["head", "layer_?.out*"], &[]).unwrap(), ["layer_0.output", "head"]);
        assert_eq!(choose(&["*", "head"], &[]).unwrap(), layers());
        assert!(choose(&[], &[]).unwrap().is_empty());
    }

    #[test]
    fn a_pattern_that_fits_nothing_is_refused_with_the_names_there_are() {
        let refused = choose(&["query"], &[]).unwrap_err().to_string();
        assert!(
            refused.starts_with("no layer is called \"query\": the layers are embeddings, layer_0.query"),
            "{refused}"
        );
    }

    #[test]
    fn auto_keeps_the_layers_whose_error_stands_out() {
        let errors = [("embeddings", 0.0009), ("layer_1.query", 0.002), ("head", 0.0)];
        assert_eq!(choose(&["auto"], &errors).unwrap(), ["layer_1.query"]);
        assert!(choose(&["auto"], &[]).is_err());
    }
}
