//! Tables and JSON Lines as records: fields by name.

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

/// The records of a file.
#[derive(Debug)]
pub(super) struct Records {
    /// The columns of a table, or every field that a line of JSON has, in the order they come up.
    pub(super) columns: Vec<String>,
    /// By the line that each begins at. A cell of a table is a text.
    pub(super) records: Vec<(u64, Record)>,
    /// Whether fields are cells of a table.
    pub(super) cells: bool,
}

/// One record.
#[derive(Debug)]
pub(super) enum Record {
    /// Fields by name.
    Fields(Map<String, Value>),
    /// What a line of JSON says that is no object.
    Bare(Value),
}

impl Records {
    /// The records of a file that ends like this.
    ///
    /// # Errors
    /// What is no such file, by its line.
    pub(super) fn read(content: &[u8], ending: &str) -> Result<Self> {
        match ending {
            "csv" => Self::table(content, b','),
            "tsv" => Self::table(content, b'\t'),
            _ => Self::lines(content),
        }
    }

    fn table(content: &[u8], delimiter: u8) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(content);
        let columns: Vec<String> = reader.headers()?.iter().map(|name| name.trim().to_owned()).collect();
        let mut records = Vec::new();
        let (mut line, mut counted) = (1, 0);
        for record in reader.records() {
            let record = record?;
            // The reader's own count is one behind where lines end with \r\n: it stops before the \n.
            let start = record.position().map_or(0, |position| position.byte() as usize);
            let blank = content.iter().skip(start).take_while(|byte| b"\r\n".contains(byte)).count();
            let passed = content.get(counted..start + blank).unwrap_or_default();
            line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
            counted = start + blank;
            let fields = columns.iter().cloned().zip(record.iter().map(Value::from));
            records.push((line, Record::Fields(fields.collect())));
        }
        Ok(Self { columns, records, cells: true })
    }

    fn lines(content: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(content).context("it is not UTF-8")?;
        let mut columns: Vec<String> = Vec::new();
        let mut records = Vec::new();
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            let value = serde_json::from_str(text).with_context(|| format!("line {line} is no JSON"))?;
            let record = match value {
                Value::Object(fields) => Record::Fields(fields),
                other => Record::Bare(other),
            };
            if let Record::Fields(fields) = &record {
                columns.extend(fields.keys().filter(|name| !columns.contains(name)).cloned().collect::<Vec<_>>());
            }
            records.push((line, record));
        }
        Ok(Self { columns, records, cells: false })
    }

    /// The column that is asked for, or else the first of these that there is.
    ///
    /// # Errors
    /// A column that is asked for and not there.
    pub(super) fn column(&self, asked: Option<&String>, usual: &[&str]) -> Result<Option<String>> {
        match asked {
            Some(asked) => self.named(asked).map(Some),
            None => Ok(usual.iter().find(|name| self.has(name)).map(|name| (*name).to_owned())),
        }
    }

    /// This column.
    ///
    /// # Errors
    /// That it is not there.
    pub(super) fn named(&self, column: &str) -> Result<String> {
        let missing = || format!("it has no column {column:?}: its columns are {}", self.columns.join(", "));
        self.has(column).then(|| column.to_owned()).with_context(missing)
    }

    pub(super) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
    }
}
