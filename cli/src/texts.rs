//! Texts to learn from: one a line, a column of a CSV file, or a field of JSON Lines.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a column of texts is called where nothing else is said.
const COLUMN: &str = "text";
/// What the texts are called that are there without a file.
pub const BUILT_IN: &str = "built-in sentences";
/// Sentences of many kinds and lengths, one a line.
const SENTENCES: &str = include_str!("texts/sentences.txt");

/// A file of texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextFile {
    /// Where it is. `.csv`, `.tsv` and `.jsonl` files are tables; of any other file each line is a text.
    pub file: PathBuf,
    /// The column or field of a table that holds the text; `text` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Only every second text, the first one included: the others are kept for a proof.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub every_second: bool,
}

impl TextFile {
    /// Every text of the file that is not empty.
    ///
    /// # Errors
    /// A file that can't be read, that has no such column, or no text at all.
    pub fn read(&self) -> Result<Vec<String>> {
        let name = self.file.display();
        let content = fs::read(&self.file).with_context(|| format!("can't read {name}"))?;
        let texts = match self.extension().as_str() {
            "csv" => self.table(&content, b','),
            "tsv" => self.table(&content, b'\t'),
            "jsonl" | "ndjson" => self.json_lines(&content),
            _ => lines(&content),
        };
        let mut texts = texts.with_context(|| format!("{name} can't be used"))?;
        texts.retain(|text| !text.trim().is_empty());
        if self.every_second {
            texts = texts.into_iter().step_by(2).collect();
        }
        ensure!(!texts.is_empty(), "{name} has no text");
        Ok(texts)
    }

    /// The texts of a file as they are read one after the other: each of a table, but a plain file whole.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn documents(&self) -> Result<Vec<String>> {
        let texts = self.read()?;
        if ["csv", "tsv", "jsonl", "ndjson"].contains(&self.extension().as_str()) {
            return Ok(texts);
        }
        let name = self.file.display();
        fs::read_to_string(&self.file).map(|text| vec![text]).with_context(|| format!("can't read {name}"))
    }

    /// What the file is called.
    pub fn name(&self) -> String {
        self.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn extension(&self) -> String {
        self.file.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
    }

    /// What is asked for: the named column, or `text`, or the only one there is.
    fn column(&self) -> &str {
        self.column.as_deref().unwrap_or(COLUMN)
    }

    fn table(&self, content: &[u8], delimiter: u8) -> Result<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(content);
        let header: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
        let only = || (self.column.is_none() && header.len() == 1).then_some(0);
        let Some(column) = header.iter().position(|name| name == self.column()).or_else(only) else {
            bail!("it has no column {:?}: its columns are {}", self.column(), header.join(", "));
        };
        let text = |record: csv::Result<csv::StringRecord>| Ok(record?.get(column).unwrap_or_default().to_owned());
        reader.records().map(text).collect()
    }

    fn json_lines(&self, content: &[u8]) -> Result<Vec<String>> {
        let text = |(number, line): (usize, String)| {
            let value: Value = serde_json::from_str(&line).with_context(|| format!("line {number} is no JSON"))?;
            let text = value.as_str().or_else(|| value.get(self.column()).and_then(Value::as_str));
            let expected = || format!("line {number}: expected a text, or an object with a text {:?}", self.column());
            text.map(str::to_owned).with_context(expected)
        };
        let numbered = lines(content)?.into_iter().enumerate().map(|(index, line)| (index + 1, line));
        numbered.filter(|(_, line)| !line.trim().is_empty()).map(text).collect()
    }
}

fn lines(content: &[u8]) -> Result<Vec<String>> {
    Ok(std::str::from_utf8(content).context("it is not UTF-8")?.lines().map(str::to_owned).collect())
}

/// Sentences to calibrate with where the user has none.
pub fn sentences() -> Vec<String> {
    SENTENCES.lines().map(str::to_owned).collect()
}

/// At most `count` of the texts, evenly from first to last.
pub fn spread<T>(texts: Vec<T>, count: usize) -> Vec<T> {
    let len = texts.len();
    if len <= count {
        return texts;
    }
    let chosen = |index: usize| index * count / len != (index + 1) * count / len;
    texts.into_iter().enumerate().filter(|(index, _)| chosen(*index)).map(|(_, text)| text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, content: &str, column: Option<&str>) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        TextFile { file, column: column.map(str::to_owned), every_second: false }.read()
    }

    #[test]
    fn each_line_that_is_not_empty_is_a_text() {
        assert_eq!(read("a.txt", "one\r\n\n two, \"2\"\n", None).unwrap(), ["one", " two, \"2\""]);
    }

    #[test]
    fn a_column_of_a_table_is_read_with_its_quotes_and_line_breaks() {
        let table = "id,text\n1,\"one, \"\"1\"\"\nand more\"\n2,two\n";
        assert_eq!(read("a.csv", table, None).unwrap(), ["one, \"1\"\nand more", "two"]);
        assert_eq!(read("a.csv", table, Some("id")).unwrap(), ["1", "2"]);
        assert_eq!(read("a.tsv", "question\na,b\n", None).unwrap(), ["a,b"]);
        let refused = format!("{:#}", read("a.csv", table, Some("query")).unwrap_err());
        assert!(refused.ends_with("it has no column \"query\": its columns are id, text"), "{refused}");
    }

    #[test]
    fn json_lines_hold_texts_or_objects() {
        let lines = "\"one\"\n\n{\"text\": \"two\", \"id\": 2}\n";
        assert_eq!(read("a.jsonl", lines, None).unwrap(), ["one", "two"]);
        let refused = format!("{:#}", read("a.jsonl", lines, Some("q")).unwrap_err());
        assert!(refused.ends_with("line 3: expected a text, or an object with a text \"q\""), "{refused}");
    }

    #[test]
    fn a_file_without_texts_is_refused() {
        for (name, content) in [("a.txt", "\n"), ("a.csv", "text\n"), ("a.jsonl", "")] {
            assert!(format!("{:#}", read(name, content, None).unwrap_err()).ends_with("has no text"));
        }
    }

    #[test]
    fn texts_are_chosen_evenly() {
        let texts: Vec<String> = (0..100).map(|index| index.to_string()).collect();
        assert_eq!(spread(texts.clone(), 4), ["24", "49", "74", "99"]);
        assert_eq!(spread(texts.clone(), 1000), texts);
        assert!(sentences().len() >= 40);
    }
}
