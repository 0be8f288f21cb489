//! Trimmed tokenizers against whole ones, for each kind of vocabulary: the same tokens wherever all are kept.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A folder of each kind of vocabulary: WordPiece, byte-level BPE with its padding first and last, Unigram.
const FOLDERS: [&str; 4] =
    ["bert_sentence", "roberta_sentence_cls", "modernbert_sentence", "xlm_roberta_sentence_plain"];

fn file(folder: &str) -> Vec<u8> {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/encoders/folders");
    fs::read(folders.join(folder).join("tokenizer.json")).unwrap()
}

fn encode(json: &[u8], text: &str) -> Vec<i64> {
    Tokenizer::from_json(json).unwrap().encode(&Text::One(text.to_owned()), "", WHOLE).unwrap().ids
}

fn trimmed(json: &[u8], texts: &[&str]) -> Trimmed {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    trim(json, &texts, &Needs::default()).unwrap()
}

/// Words that the tiny vocabularies know in whole, in parts, or not at all.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "the|card|my|money|account|transfer|payment|cards|thermometer|what|when|where|did|I|not|arrived",
        "[a-z]{1,8}",
        "\\PC{1,3}",
    ];
    proptest::collection::vec(word, 0..8).prop_map(|words| words.join(" "))
}

#[test]
fn a_corpus_keeps_its_tokens_and_most_others_go() {
    for folder in FOLDERS {
        let json = file(folder);
        let trimmed = trimmed(&json, &["what is the card for", "my card"]);
        assert!(trimmed.kept.len() < trimmed.of, "{folder}: {} of {}", trimmed.kept.len(), trimmed.of);
        assert_eq!(trimmed.ids(&encode(&json, "my card")).unwrap(), encode(&trimmed.tokenizer, "my card"), "{folder}");
        assert!(trimmed.tokenizer.len() < json.len());
    }
}

#[test]
fn every_single_character_stays() {
    for folder in FOLDERS {
        let json = file(folder);
        let trimmed = trimmed(&json, &["a"]);
        for letter in ('a'..='z').chain("0123456789.,?!'".chars()) {
            let spaced = format!("{letter} {letter} {letter}");
            let expected = trimmed.ids(&encode(&json, &spaced));
            if let Some(expected) = expected {
                assert_eq!(encode(&trimmed.tokenizer, &spaced), expected, "{folder}: {spaced}");
            }
        }
    }
}

#[test]
fn ids_that_are_needed_stay() {
    let json = file("bert_sentence");
    let needs = Needs { prompts: vec!["query: ".to_owned()], ids: (0..9).collect() };
    let trimmed = trim(&json, &["a".to_owned()], &needs).unwrap();
    assert!((0..9).all(|id| trimmed.id(id) == Some(id)));
    let expected = trimmed.ids(&encode(&json, "query: a")).unwrap();
    assert_eq!(encode(&trimmed.tokenizer, "query: a"), expected);
}

#[test]
fn special_tokens_get_new_ids_wherever_they_are_named() {
    let mut file: Value = serde_json::from_slice(&file("roberta_sentence_cls")).unwrap();
    file["post_processor"] = json!({
        "type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": true,
        "add_prefix_space": false
    });
    // The end of a text becomes a token far behind those that are not needed.
    let last = file["model"]["vocab"].as_object().unwrap().len() - 1;
    let vocabulary = file["model"]["vocab"].as_object_mut().unwrap();
    let (token, _) =
        vocabulary.iter().find(|(_, id)| **id == json!(last)).map(|(k, v)| (k.clone(), v.clone())).unwrap();
    vocabulary.insert(token, json!(2));
    vocabulary.insert("</s>".to_owned(), json!(last));
    file["post_processor"]["sep"][1] = json!(last);
    file["added_tokens"][2]["id"] = json!(last);
    let json = serde_json::to_vec(&file).unwrap();
    let trimmed = trimmed(&json, &["the card"]);
    assert!(trimmed.kept.len() < trimmed.of);
    let before = encode(&json, "the card");
    assert_eq!(before.last(), Some(&(last as i64)));
    assert_eq!(Some(encode(&trimmed.tokenizer, "the card")), trimmed.ids(&before));
}

#[test]
fn a_minified_tokenizer_gives_the_same_tokens() {
    for folder in FOLDERS {
        let json = file(folder);
        let small = minified(&json).unwrap();
        assert!(small.len() < json.len());
        let text = "Where is my card? It's 5 days late, naïve 日本";
        assert_eq!(encode(&small, text), encode(&json, text), "{folder}");
    }
}

#[test]
fn what_is_no_tokenizer_is_refused() {
    for json in ["", "[]", "{}", "{\"model\": {\"type\": \"Magic\"}}"] {
        assert!(minified(json.as_bytes()).is_err(), "{json}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn texts_whose_tokens_are_kept_get_the_same_tokens(
        corpus in proptest::collection::vec(text(), 1..6),
        others in proptest::collection::vec(text(), 20),
    ) {
        for folder in FOLDERS {
            let json = file(folder);
            let corpus: Vec<&str> = corpus.iter().map(String::as_str).collect();
            let trimmed = trimmed(&json, &corpus);
            for text in corpus.into_iter().chain(others.iter().map(String::as_str)) {
                if let Some(expected) = trimmed.ids(&encode(&json, text)) {
                    prop_assert_eq!(encode(&trimmed.tokenizer, text), expected, "{}: {:?}", folder, text);
                }
            }
        }
    }
}
