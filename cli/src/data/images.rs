//! Folders of images: a folder for each class, or files whose classes a table beside them tells.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use emberlite::task::Payload;
use serde_json::Value;

use super::records::{Record, Records};
use super::{Columns, Example, Input, Label};

/// The table of classes.
const TABLE: &str = "labels.csv";
/// Its columns of files and of classes.
const FILES: [&str; 4] = ["file", "file_name", "filename", "image"];
const CLASSES: [&str; 3] = ["label", "class", "category"];

/// Every image of a folder, by name: those in `CLASS/` are of that class.
pub(super) fn read(folder: &Path, columns: &Columns) -> Result<Vec<Example>> {
    ensure!(columns.text.is_none() && columns.pair.is_none(), "a folder of images has no columns of texts");
    let table = folder.join(TABLE);
    let labels = if table.is_file() { classes(&table, columns)? } else { BTreeMap::new() };
    ensure!(columns.label.is_none() || table.is_file(), "it has no {TABLE} whose column --label could name");
    let mut examples = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            let class = name(&path);
            for file in entries(&path)?.into_iter().filter(|file| is_image(file)) {
                examples.push(example(&file, format!("{class}/{}", name(&file)), Some(class.clone()))?);
            }
        } else if is_image(&path) {
            let file = name(&path);
            let class = labels.get(&file).cloned();
            examples.push(example(&path, file, class)?);
        }
    }
    ensure!(
        !examples.is_empty(),
        "it has no images: expected .png or .jpg files, in folders named by their class or not"
    );
    Ok(examples)
}

fn example(file: &Path, name: String, class: Option<String>) -> Result<Example> {
    let bytes = fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
    let label = class.map(|class| Label::Classes(vec![class]));
    Ok(Example { name, input: Input::Payload(Payload::Image(bytes.into())), label })
}

/// The class of each file.
fn classes(table: &Path, columns: &Columns) -> Result<BTreeMap<String, String>> {
    let records = Records::read(&fs::read(table)?, "csv").context(TABLE)?;
    let (file, class) = (records.column(None, &FILES)?, records.column(columns.label.as_ref(), &CLASSES)?);
    let (Some(file), Some(class)) = (file, class) else {
        bail!("{TABLE} needs the columns file and label: its columns are {}", records.columns.join(", "));
    };
    let row = |(_, record): (u64, Record)| {
        let Record::Fields(fields) = record else { return None };
        let cell = |column: &String| fields.get(column).and_then(Value::as_str).map(|cell| cell.trim().to_owned());
        Some((cell(&file)?, cell(&class)?))
    };
    Ok(records.records.into_iter().filter_map(row).collect())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("can't read {}", folder.display());
    let entries = fs::read_dir(folder).with_context(failed)?;
    let mut paths: Vec<_> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_image(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    path.is_file() && ["png", "jpg", "jpeg"].contains(&ending.as_str())
}
