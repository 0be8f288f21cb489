//! The table of what is imported, in `encoders/README.md`, is what is tested.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::export::{Export, path};

/// Set to write the table rather than to compare it.
const BLESS: &str = "EMBER_BLESS";

#[test]
fn the_table_of_encoders_tells_what_is_tested() {
    let file = path("README.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (head, _) = text.split_once("\n| model |").unwrap();
    let expected = format!("{head}\n{}", table());
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&file, &expected).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), expected, "run this test with {BLESS}=1");
}

fn table() -> String {
    let exports = Export::all();
    let mut exporters: Vec<&str> = Vec::new();
    let mut models: Vec<&str> = Vec::new();
    for export in &exports {
        if !exporters.contains(&&*export.exporter) {
            exporters.push(&export.exporter);
        }
        if !models.contains(&&*export.model) {
            models.push(&export.model);
        }
    }
    let mut text = format!("| model | {} |\n|---|{}\n", exporters.join(" | "), "---|".repeat(exporters.len()));
    for model in models {
        write!(text, "| {model} |").unwrap();
        for exporter in &exporters {
            let of = exports.iter().filter(|export| export.model == model && export.exporter == *exporter);
            let opsets: BTreeSet<i64> = of.map(|export| export.opset).collect();
            let opsets: Vec<String> = opsets.iter().map(ToString::to_string).collect();
            write!(text, " {} |", opsets.join(", ")).unwrap();
        }
        text.push('\n');
    }
    text
}
