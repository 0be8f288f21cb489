//! A row of a table whose cells are all texts, as CSV files have them.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Number, Value};

use super::InputError;
use crate::model::{Dtype, Manifest};

/// The columns that hold what a model of texts reads.
const TEXT: &str = "text";
const SECOND_TEXT: &str = "text_pair";

/// A row of a table whose cells are all texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    columns: Arc<[String]>,
    /// As many as there are columns.
    cells: Vec<String>,
}

impl Row {
    /// A row with these columns; `None` where it has another number of cells.
    pub fn new(columns: Arc<[String]>, cells: Vec<String>) -> Option<Self> {
        (columns.len() == cells.len()).then_some(Self { columns, cells })
    }

    /// The input of a model of tables or tensors: an object by feature name, or a list where it has no features. A cell is
    /// a text where its feature is one, else a number, a truth value or, empty, none.
    pub(super) fn value(&self, manifest: &Manifest) -> Value {
        if manifest.features.is_empty() {
            let dtype = manifest.inputs.first().map(|input| input.dtype);
            return self.cells.iter().map(|cell| value(cell, dtype)).collect();
        }
        let dtype = |column: &str| {
            let feature = manifest.features.iter().find(|feature| feature.name == column)?;
            manifest.inputs.iter().find(|input| input.name == feature.input).map(|input| input.dtype)
        };
        let fields = self.columns.iter().zip(&self.cells);
        Value::Object(fields.map(|(column, cell)| (column.clone(), value(cell, dtype(column)))).collect())
    }

    /// The input of a model of texts: the column `text`, with `text_pair` where there is one, or the only column.
    ///
    /// # Errors
    /// [`InputError::MissingColumn`].
    pub(crate) fn text(&self) -> Result<Value, InputError> {
        let cell = |name: &str| {
            let found = self.columns.iter().zip(&self.cells).find(|(column, _)| *column == name);
            found.map(|(_, cell)| Value::from(cell.as_str()))
        };
        match (cell(TEXT), cell(SECOND_TEXT), self.cells.as_slice()) {
            (Some(text), None, _) => Ok(text),
            (Some(text), Some(second), _) => {
                Ok(Value::Object(Map::from_iter([(TEXT.to_owned(), text), (SECOND_TEXT.to_owned(), second)])))
            }
            (None, None, [only]) => Ok(Value::from(only.as_str())),
            _ => Err(InputError::MissingColumn { expected: TEXT, got: self.columns.to_vec() }),
        }
    }
}

/// Columns with their cells, on one line.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (column, cell)) in self.columns.iter().zip(&self.cells).enumerate() {
            write!(f, "{}{column} {cell}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

fn value(cell: &str, dtype: Option<Dtype>) -> Value {
    if dtype == Some(Dtype::Bytes) {
        return Value::from(cell);
    }
    let cell = cell.trim();
    let whole = || cell.parse::<i64>().map(Number::from).or_else(|_| cell.parse::<u64>().map(Number::from)).ok();
    let fraction = || cell.parse::<f64>().ok().and_then(Number::from_f64);
    match cell {
        "" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => whole().or_else(fraction).map_or_else(|| Value::from(cell), Value::Number),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(columns: &[&str], cells: &[&str]) -> Row {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        Row::new(owned(columns).into(), owned(cells)).unwrap()
    }

    #[test]
    fn a_cell_is_what_its_feature_takes() {
        for (cell, expected) in [
            ("3", json!(3)),
            (" -3.50 ", json!(-3.5)),
            ("18446744073709551615", json!(u64::MAX)),
            ("1e3", json!(1000.0)),
            ("true", json!(true)),
            ("", json!(null)),
            ("nan", json!("nan")),
            ("A11", json!("A11")),
        ] {
            assert_eq!(value(cell, Some(Dtype::Fp32)), expected, "{cell:?}");
        }
        assert_eq!(value(" 3", Some(Dtype::Bytes)), json!(" 3"));
    }

    #[test]
    fn a_text_is_in_its_column_or_in_the_only_one() {
        assert_eq!(row(&["id", "text"], &["1", "Hello"]).text(), Ok(json!("Hello")));
        assert_eq!(row(&["question"], &["Hello"]).text(), Ok(json!("Hello")));
        let pair = row(&["text", "text_pair"], &["a", "b"]).text();
        assert_eq!(pair, Ok(json!({"text": "a", "text_pair": "b"})));
        assert!(matches!(row(&["a", "b"], &["1", "2"]).text(), Err(InputError::MissingColumn { .. })));
    }

    #[test]
    fn a_row_has_a_cell_for_each_column() {
        assert_eq!(Row::new(Arc::from(["a".to_owned()]), Vec::new()), None);
    }
}
