//! What a recipe says about proof: the data, and what may be lost.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::thresholds::Thresholds;
use crate::data::Columns;

/// The part `[verify]` of a recipe: the data to compare on, and the thresholds, side by side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The examples: a file, or a folder of images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// The column or field that holds the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The column or field that holds what the model should answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The two columns of a pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<(String, String)>,
    /// What may be lost.
    #[serde(flatten)]
    pub thresholds: Thresholds,
}

impl Settings {
    /// Which columns of the data are which.
    pub fn columns(&self) -> Columns {
        Columns { text: self.column.clone(), label: self.label.clone(), pair: self.pair.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Part;

    #[test]
    fn a_recipe_has_data_and_thresholds_side_by_side() {
        let text = "data = \"test.csv\"\nlabel = \"category\"\npair = [\"a\", \"b\"]\nmin_agreement = \"98%\"";
        let read: Settings = toml::from_str(text).unwrap();
        let thresholds = Thresholds { min_agreement: Some(Part(0.98)), ..Thresholds::default() };
        let (data, label) = (Some("test.csv".into()), Some("category".to_owned()));
        let pair = Some(("a".to_owned(), "b".to_owned()));
        assert_eq!(read, Settings { data, column: None, label, pair, thresholds });
        assert_eq!(toml::from_str::<Settings>("").unwrap(), Settings::default());
        let refused = toml::from_str::<Settings>("min_agrement = 0.9").unwrap_err().to_string();
        assert!(refused.contains("unknown field `min_agrement`"), "{refused}");
        assert!(toml::from_str::<Settings>("max_loss = 5").is_err());
    }
}
