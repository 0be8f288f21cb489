use std::fs;

use emberlite::model::{Manifest, Package, Task};
use serde_json::json;
use tempfile::TempDir;

use super::*;

/// What the committed package of a demo model says.
fn manifest(model: &str) -> Manifest {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(model);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let package = files.into_iter().find(|file| file.extension().is_some_and(|ending| ending == "ember")).unwrap();
    Package::open(fs::read(package).unwrap().into()).unwrap().manifest().clone()
}

fn read_as(name: &str, content: &str, columns: &Columns, manifest: &Manifest) -> Result<Data> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, content).unwrap();
    Data::read(&file, columns, manifest)
}

fn read(name: &str, content: &str, model: &str) -> Result<Data> {
    read_as(name, content, &Columns::default(), &manifest(model))
}

fn refusal(read: Result<Data>) -> String {
    format!("{:#}", read.unwrap_err())
}

fn texts(data: &Data) -> Vec<(&str, &str, Option<Label>)> {
    data.examples
        .iter()
        .map(|example| match &example.input {
            Input::Text(text) => (example.name.as_str(), text.as_str(), example.label.clone()),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn class(name: &str) -> Option<Label> {
    Some(Label::Classes(vec![name.to_owned()]))
}

fn columns(text: Option<&str>, label: Option<&str>) -> Columns {
    Columns { text: text.map(str::to_owned), label: label.map(str::to_owned), pair: None }
}

#[test]
fn lines_of_plain_text_are_texts_named_by_their_line() {
    let data = read("a.txt", "Where is my card?\n\nHello\n", "intents").unwrap();
    assert_eq!(data.name, "a.txt");
    assert_eq!(texts(&data), [("line 1", "Where is my card?", None), ("line 3", "Hello", None)]);
}

#[test]
fn a_table_has_its_text_and_label_where_their_names_tell() {
    let table = "id,text,category\n1,\"My card,\nwhere?\",Card_Arrival\n2,Hello,\n";
    let data = read("a.csv", table, "intents").unwrap();
    assert_eq!(texts(&data), [("line 2", "My card,\nwhere?", class("card_arrival")), ("line 4", "Hello", None)]);
    assert_eq!(data.labelled(), 1);
    let windows = read("a.csv", &table.replace('\n', "\r\n"), "intents").unwrap();
    assert_eq!(windows.examples.iter().map(|example| example.name.as_str()).collect::<Vec<_>>(), ["line 2", "line 4"]);
    let table = "question\tmeant\nMy card\tcard arrival\n";
    let data = read_as("a.tsv", table, &columns(Some("question"), Some("meant")), &manifest("intents")).unwrap();
    assert_eq!(texts(&data), [("line 2", "My card", class("card_arrival"))]);
    // The only column that is no label.
    let data = read("a.csv", "question,label\nMy card,card_arrival\n", "intents").unwrap();
    assert_eq!(texts(&data), [("line 2", "My card", class("card_arrival"))]);
}

#[test]
fn json_lines_are_texts_or_objects() {
    let lines = "\"Hello\"\n\n{\"text\": \"My card\", \"label\": \"card_arrival\"}\n";
    let data = read("a.jsonl", lines, "intents").unwrap();
    assert_eq!(texts(&data), [("line 1", "Hello", None), ("line 3", "My card", class("card_arrival"))]);
}

#[test]
fn columns_that_are_not_there_and_labels_of_another_model_are_refused() {
    let intents = manifest("intents");
    for (columns, words) in [
        (columns(Some("query"), None), "it has no column \"query\": its columns are a, b"),
        (columns(Some("a"), Some("truth")), "it has no column \"truth\": its columns are a, b"),
        (columns(None, None), "it has no column \"text\": its columns are a, b; name one with --column"),
        (columns(Some("a"), Some("b")), "none of its labels is one of the model's: expected \"refund_not_showing_up\""),
    ] {
        let refused = refusal(read_as("a.csv", "a,b\nHello,greeting\n", &columns, &intents));
        assert!(refused.contains("a.csv can't be used as data") && refused.contains(words), "{refused}");
    }
    assert!(
        refusal(read("a.jsonl", "{\"text\": 5}\n", "intents"))
            .contains("line 1: expected an object with a text \"text\"")
    );
    assert!(refusal(read("a.jsonl", "{\n", "intents")).contains("line 1 is no JSON"));
    assert!(refusal(read("a.txt", "\n", "intents")).contains("has no examples"));
    assert!(refusal(read_as("a.txt", "x\n", &columns(Some("text"), None), &intents)).contains("each line is a text"));
}

#[test]
fn pairs_have_two_texts_and_a_score() {
    let mut embeds = manifest("intents");
    embeds.task = Task::Embed;
    let found = |data: Data| -> Vec<_> {
        let pair = |example: Example| match example.input {
            Input::Pair(first, second) => (first, second, example.label),
            other => panic!("{other:?}"),
        };
        data.examples.into_iter().map(pair).collect()
    };
    let expected = [("one".to_owned(), "two".to_owned(), Some(Label::Number(4.5)))];
    let data = read_as("a.csv", "sentence1,sentence2,score\none,two,4.5\n", &Columns::default(), &embeds).unwrap();
    assert_eq!(found(data), expected);
    let named =
        Columns { pair: Some(("a".to_owned(), "b".to_owned())), label: Some("c".to_owned()), ..Columns::default() };
    let data = read_as("a.tsv", "a\tb\tc\none\ttwo\t4.5\n", &named, &embeds).unwrap();
    assert_eq!(found(data), expected);
    let refused = refusal(read_as("a.tsv", "a\tb\tc\none\ttwo\thigh\n", &named, &embeds));
    assert!(refused.contains("line 2: expected a number as the label, got \"high\""), "{refused}");
    let mut ranks = manifest("intents");
    ranks.task = Task::Rerank;
    let data = read_as("a.jsonl", "{\"query\": \"one\", \"text\": \"two\"}\n", &Columns::default(), &ranks).unwrap();
    assert_eq!(data.labelled(), 0);
    for file in ["a.csv", "a.txt"] {
        let refused = refusal(read_as(file, "text\none\n", &Columns::default(), &ranks));
        assert!(refused.contains("a reranker judges pairs"), "{refused}");
    }
}

#[test]
fn rows_of_a_table_have_the_models_features() {
    let diagnosis = manifest("diagnosis");
    let names: Vec<_> = diagnosis.features.iter().map(|feature| feature.name.as_str()).collect();
    let table = format!("id,{},class\n7,{},benign\n", names.join(","), ["1.5"; 30].join(","));
    let data = read("a.csv", &table, "diagnosis").unwrap();
    assert_eq!(data.examples[0].label, class("benign"));
    let Input::Payload(payload @ Payload::Row(_)) = &data.examples[0].input else { panic!("{data:?}") };
    let (tensors, _) = emberlite::task::read_inputs(payload, &diagnosis).unwrap();
    assert_eq!(tensors[0].shape(), [1, 30]);
    let refused = refusal(read("a.csv", "mean radius,class\n1,benign\n", "diagnosis"));
    assert!(refused.contains("it has no column for \"mean texture\""), "{refused}");
    // The index of a class stands for it.
    assert_eq!(read("a.csv", &table.replace("benign", "1"), "diagnosis").unwrap().examples[0].label, class("benign"));
}

#[test]
fn json_lines_hold_what_a_request_has_as_its_input() {
    let rows = format!("{}\n{}\n", json!({"input": vec![1.0; 30], "label": "benign"}), json!(vec![2.0; 30]));
    let data = read("a.jsonl", &rows, "diagnosis").unwrap();
    let labels: Vec<_> = data.examples.iter().map(|example| example.label.clone()).collect();
    assert_eq!(labels, [class("benign"), None]);
    for example in &data.examples {
        let Input::Payload(payload) = &example.input else { panic!("{example:?}") };
        assert!(emberlite::task::read_inputs(payload, &manifest("diagnosis")).is_ok());
    }
    assert!(
        refusal(read("a.txt", "1 2 3\n", "diagnosis"))
            .contains("the model takes tensors: expected a .csv, .tsv or .jsonl")
    );
}

#[test]
fn a_folder_of_images_has_a_class_for_each_folder_or_a_table_of_them() {
    let digits = manifest("digits");
    let folder = TempDir::new().unwrap();
    let place = |path: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"an image").unwrap();
    };
    let read = || Data::read(folder.path(), &Columns::default(), &digits);
    assert!(refusal(read()).contains("it has no images"));
    ["7/a.png", "7/b.JPG", "3/c.jpeg", "3/notes.txt"].iter().for_each(|path| place(path));
    let found =
        |data: Data| -> Vec<_> { data.examples.into_iter().map(|example| (example.name, example.label)).collect() };
    let named = |name: &str, label: &str| (name.to_owned(), class(label));
    assert_eq!(found(read().unwrap()), [named("3/c.jpeg", "3"), named("7/a.png", "7"), named("7/b.JPG", "7")]);

    let flat = TempDir::new().unwrap();
    fs::write(flat.path().join("x.png"), b"an image").unwrap();
    fs::write(flat.path().join("y.png"), b"an image").unwrap();
    let read = || Data::read(flat.path(), &Columns::default(), &digits);
    assert_eq!(read().unwrap().labelled(), 0);
    fs::write(flat.path().join("labels.csv"), "file,label\nx.png,5\n").unwrap();
    assert_eq!(found(read().unwrap()), [named("x.png", "5"), ("y.png".to_owned(), None)]);
    let refused = refusal(Data::read(flat.path(), &Columns::default(), &manifest("intents")));
    assert!(refused.contains("the model takes no images"), "{refused}");
}

#[test]
fn a_language_model_reads_a_plain_text_as_a_whole() {
    let data = read("tale.txt", "Once upon\n\na time.\n", "storyteller").unwrap();
    assert_eq!(texts(&data), [("tale.txt", "Once upon\n\na time.\n", None)]);
    let data = read("tale.jsonl", "{\"text\": \"Once\"}\n{\"text\": \"upon\"}\n", "storyteller").unwrap();
    assert_eq!(data.examples.len(), 2);
}

#[test]
fn examples_are_spread_from_first_to_last() {
    let data = read("a.txt", "one\ntwo\nthree\nfour\n", "intents").unwrap().spread(2);
    assert_eq!(texts(&data).iter().map(|(name, ..)| *name).collect::<Vec<_>>(), ["line 2", "line 4"]);
}

#[test]
fn a_model_of_tensors_has_examples_without_a_file() {
    for model in ["credit", "diagnosis", "digits"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(model);
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let file = files.into_iter().find(|file| file.extension().is_some_and(|ending| ending == "ember")).unwrap();
        let model = Model::load(&Package::open(fs::read(file).unwrap().into()).unwrap()).unwrap();
        let data = Data::built_in(&model).unwrap();
        assert!(data.examples.len() > 128, "{}", data.examples.len());
        assert_eq!(data.labelled(), 0);
    }
}
