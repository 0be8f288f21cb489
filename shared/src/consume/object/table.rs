//! CSV: the names of the columns on the first line, a row on each other.

use std::sync::Arc;

use csv::{Position, ReaderBuilder, StringRecord, Trim};

use super::Line;
use crate::api::ApiError;
use crate::api::jobs::Content;
use crate::task::Row;

/// The rows of a table.
///
/// # Errors
/// A table without a line that names its columns.
pub(super) fn rows(bytes: &[u8]) -> Result<impl Iterator<Item = Line> + Send + '_, ApiError> {
    // Spreadsheets begin their files with a byte order mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = ReaderBuilder::new().trim(Trim::Headers).flexible(true).from_reader(bytes);
    let unreadable = |error: csv::Error| ApiError::bad_request(format!("the table can't be read: {error}"));
    let columns: Arc<[String]> = reader.headers().map_err(unreadable)?.iter().map(str::to_owned).collect();
    if columns.is_empty() {
        return Err(ApiError::bad_request("the table is empty: expected the names of its columns on the first line"));
    }
    let row = move |(index, record): (usize, Result<StringRecord, csv::Error>)| {
        let begins = |record: &StringRecord| record.position().map(|position| line(bytes, position));
        let number = record.as_ref().ok().and_then(begins).unwrap_or(index + 2);
        Line { number, content: record.map_err(unreadable).and_then(|record| cells(&columns, &record)) }
    };
    Ok(reader.into_records().enumerate().map(row))
}

fn cells(columns: &Arc<[String]>, record: &StringRecord) -> Result<Content, ApiError> {
    let (expected, got) = (columns.len(), record.len());
    let row = Row::new(Arc::clone(columns), record.iter().map(str::to_owned).collect());
    let wrong = || ApiError::bad_request(format!("the row has {got} cells: expected {expected}"));
    row.map(Content::Row).ok_or_else(wrong)
}

/// The line that a record begins on: where it is said to begin, ends of lines before it may still be ahead.
fn line(bytes: &[u8], position: &Position) -> usize {
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let ahead = bytes.iter().skip(start).take_while(|byte| b"\r\n".contains(byte));
    ahead.filter(|&&byte| byte == b'\n').count() + usize::try_from(position.line()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_numbers_and_their_errors() {
        let lines = rows(b"\xef\xbb\xbfa, b\n1,2\n\n1\n\"3\n3\",4\n").unwrap();
        let told: Vec<_> = lines.map(|line| (line.number, line.content.is_ok())).collect();
        assert_eq!(told, [(2, true), (4, false), (5, true)]);
        let numbers: Vec<_> = rows(b"a\r\n1\r\n\r\n2\r\n").unwrap().map(|line| line.number).collect();
        assert_eq!(numbers, [2, 4]);
    }

    #[test]
    fn a_table_without_columns_is_refused() {
        assert!(rows(b"").is_err_and(|error| error.is_final()));
    }
}
