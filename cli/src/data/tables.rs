//! Records to examples: which column is what, for models of texts and of tensors.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use emberlite::model::{Dim, Dtype, Manifest, Task};
use emberlite::task::{Payload, Row};
use serde_json::{Map, Value};

use super::records::{Record, Records};
use super::{Columns, Example, Input, Kind, label};

/// What a column of texts is called where nothing is said.
const TEXTS: [&str; 2] = ["text", "input"];
/// What a column of classes is called.
const CLASSES: [&str; 6] = ["label", "labels", "category", "intent", "class", "target"];
/// What a column of numbers is called.
const NUMBERS: [&str; 5] = ["score", "similarity", "relevance", "label", "target"];
/// What the two columns of a pair are called.
const PAIRS: [(&str, &str); 5] =
    [("sentence1", "sentence2"), ("text", "text_pair"), ("query", "text"), ("query", "passage"), ("query", "document")];

/// The examples of a model of texts.
pub(super) fn texts(records: Records, columns: &Columns, manifest: &Manifest) -> Result<Vec<Example>> {
    let kind = Kind::of(manifest);
    let pair = pair(&records, columns, manifest)?;
    let usual: &[&str] = match (kind, &pair) {
        (Kind::Labels, _) | (Kind::Vectors, None) => &CLASSES,
        (Kind::Vectors | Kind::Values, _) => &NUMBERS,
        (Kind::Tokens, _) => &[],
    };
    let label = records.column(columns.label.as_ref(), usual)?;
    let source = match pair {
        Some((first, second)) => Columned::Pair(first, second),
        None => Columned::Text(text_column(&records, columns, label.as_ref())?),
    };
    let is_pair = matches!(source, Columned::Pair(..));
    let mut examples = Vec::with_capacity(records.records.len());
    for (line, record) in records.records {
        let at = || format!("line {line}");
        let input = source.input(&record).with_context(at)?;
        if matches!(&input, Input::Text(text) if text.trim().is_empty()) {
            continue;
        }
        let label = labelled(&record, label.as_ref(), kind, is_pair).with_context(at)?;
        examples.push(Example { name: at(), input, label });
    }
    Ok(examples)
}

/// The column of texts: what is asked for, what is usual, or the only one that is no label.
fn text_column(records: &Records, columns: &Columns, label: Option<&String>) -> Result<String> {
    if let Some(column) = records.column(columns.text.as_ref(), &TEXTS)? {
        return Ok(column);
    }
    let others: Vec<_> = records.columns.iter().filter(|name| Some(*name) != label).collect();
    match others.as_slice() {
        // Lines of JSON that are texts have no columns.
        [] if !records.cells => Ok(TEXTS[0].to_owned()),
        [only] => Ok((*only).clone()),
        _ => bail!(
            "it has no column {:?}: its columns are {}; name one with --column",
            TEXTS[0],
            records.columns.join(", ")
        ),
    }
}

/// The columns of pairs, where the data has pairs.
fn pair(records: &Records, columns: &Columns, manifest: &Manifest) -> Result<Option<(String, String)>> {
    if let Some((first, second)) = &columns.pair {
        ensure!(manifest.task != Task::Generate, "pairs are not for language models");
        return Ok(Some((records.named(first)?, records.named(second)?)));
    }
    let takes_pairs = !matches!(manifest.task, Task::Generate | Task::Predict);
    let found = PAIRS.iter().find(|(first, second)| records.has(first) && records.has(second));
    let owned = |(first, second): &(&str, &str)| ((*first).to_owned(), (*second).to_owned());
    let pair = found.filter(|_| takes_pairs && columns.text.is_none()).map(owned);
    ensure!(
        pair.is_some() || manifest.task != Task::Rerank,
        "a reranker judges pairs, and it has no columns query and text: its columns are {}; name two with --pair",
        records.columns.join(", ")
    );
    Ok(pair)
}

/// Where the texts of a record are.
enum Columned {
    Text(String),
    Pair(String, String),
}

impl Columned {
    fn input(&self, record: &Record) -> Result<Input> {
        match (self, record) {
            (Self::Text(_), Record::Bare(Value::String(text))) => Ok(Input::Text(text.clone())),
            (Self::Text(column), Record::Fields(fields)) => Ok(Input::Text(text(fields, column)?)),
            (Self::Pair(first, second), Record::Fields(fields)) => {
                Ok(Input::Pair(text(fields, first)?, text(fields, second)?))
            }
            (_, Record::Bare(value)) => bail!("expected a text or an object, got {value}"),
        }
    }
}

fn text(fields: &Map<String, Value>, column: &str) -> Result<String> {
    let text = fields.get(column).and_then(Value::as_str);
    text.map(str::to_owned).with_context(|| format!("expected an object with a text {column:?}"))
}

fn labelled(record: &Record, column: Option<&String>, kind: Kind, pair: bool) -> Result<Option<label::Label>> {
    let (Record::Fields(fields), Some(column)) = (record, column) else { return Ok(None) };
    fields.get(column).map_or(Ok(None), |value| label::read(value, kind, pair))
}

/// The examples of a model of tensors.
pub(super) fn rows(records: Records, columns: &Columns, manifest: &Manifest) -> Result<Vec<Example>> {
    ensure!(columns.text.is_none() && columns.pair.is_none(), "the model takes no texts: a column of them is no help");
    let kind = Kind::of(manifest);
    let own = |name: &str| {
        let feature = manifest.features.iter().any(|feature| feature.name == name);
        feature || manifest.inputs.iter().any(|input| input.name == name)
    };
    let usual = if kind == Kind::Labels { &CLASSES[..] } else { &NUMBERS[..] };
    let usual: Vec<&str> = usual.iter().copied().filter(|name| !own(name)).collect();
    let label = records.column(columns.label.as_ref(), &usual)?;
    let names_input = manifest.features.is_empty() && manifest.inputs.len() > 1 && own("input");
    let layout = if records.cells { Some(Layout::of(&records, label.as_ref(), manifest)?) } else { None };
    let mut examples = Vec::with_capacity(records.records.len());
    for (line, mut record) in records.records {
        let at = || format!("line {line}");
        let label = match (&mut record, &label) {
            (Record::Fields(fields), Some(column)) => fields.remove(column),
            _ => None,
        };
        let label = label.map_or(Ok(None), |value| label::read(&value, kind, false)).with_context(at)?;
        let payload = match &layout {
            Some(layout) => layout.payload(record, manifest).with_context(at)?,
            None => Payload::Json(input(record, names_input)),
        };
        examples.push(Example { name: at(), input: Input::Payload(payload), label });
    }
    Ok(examples)
}

/// A line of JSON is what a request has as its input, or an object that has it as `input`.
fn input(record: Record, names_input: bool) -> Value {
    match record {
        Record::Bare(value) => value,
        Record::Fields(mut fields) => match fields.remove("input").filter(|_| !names_input) {
            Some(input) => input,
            None => Value::Object(fields),
        },
    }
}

/// Which cells of a table become what of a model's input.
enum Layout {
    /// Features, or the numbers of the only input, by column.
    Row(Arc<[String]>),
    /// An input for each column.
    Inputs,
}

impl Layout {
    fn of(records: &Records, label: Option<&String>, manifest: &Manifest) -> Result<Self> {
        let wanted: Vec<String> = if !manifest.features.is_empty() {
            manifest.features.iter().map(|feature| feature.name.clone()).collect()
        } else if let [only] = manifest.inputs.as_slice() {
            let numbers = match only.shape.as_slice() {
                [_] => Some(1),
                [_, Dim::Fixed(width)] => Some(*width),
                _ => None,
            };
            let columns: Vec<String> = records.columns.iter().filter(|name| Some(*name) != label).cloned().collect();
            ensure!(
                numbers == Some(columns.len()),
                "input {:?} of the model is {}, and a row has {} columns beside the label",
                only.name,
                only.shape_text(),
                columns.len()
            );
            return Ok(Self::Row(columns.into()));
        } else {
            manifest.inputs.iter().map(|input| input.name.clone()).collect()
        };
        let missing: Vec<_> = wanted.iter().filter(|name| !records.has(name)).map(|name| format!("{name:?}")).collect();
        ensure!(
            missing.is_empty(),
            "it has no column for {}: its columns are {}",
            missing.join(", "),
            records.columns.join(", ")
        );
        if manifest.features.is_empty() { Ok(Self::Inputs) } else { Ok(Self::Row(wanted.into())) }
    }

    fn payload(&self, record: Record, manifest: &Manifest) -> Result<Payload> {
        let Record::Fields(fields) = record else { bail!("a table has rows") };
        let cell = |name: &String| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        match self {
            Self::Row(columns) => {
                let row = Row::new(Arc::clone(columns), columns.iter().map(cell).collect());
                Ok(Payload::Row(row.context("a row has a cell for each column")?))
            }
            Self::Inputs => {
                let inputs = manifest.inputs.iter().map(|input| {
                    let value = value(&cell(&input.name), input.dtype);
                    let nested = if input.shape.len() == 1 { value } else { Value::Array(vec![value]) };
                    (input.name.clone(), nested)
                });
                Ok(Payload::Json(Value::Object(inputs.collect())))
            }
        }
    }
}

/// What a cell says, for an input of this type.
fn value(cell: &str, dtype: Dtype) -> Value {
    if dtype == Dtype::Bytes {
        return cell.into();
    }
    serde_json::from_str(cell.trim()).unwrap_or_else(|_| cell.into())
}
