//! Our tokenizer against the crate's own, on real texts and on nasty ones.

mod byte_pairs;
mod decode;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenizers::PostProcessor as _;
use tokenizers::utils::truncation::{TruncationDirection, TruncationParams, truncate_encodings};

use super::*;

const LONG: Limit = Limit { max_tokens: 1 << 20, overlong: Overlong::Refuse };

/// A BERT tokenizer with these tokens after the special ones.
fn bert(tokens: impl IntoIterator<Item = String>) -> Vec<u8> {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let mut vocabulary = BTreeMap::new();
    for token in special.into_iter().map(str::to_owned).chain(tokens) {
        let next = vocabulary.len();
        vocabulary.entry(token).or_insert(next);
    }
    let added: Vec<_> = special
        .iter()
        .map(|token| {
            json!({"id": vocabulary[*token], "content": token, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
        })
        .collect();
    let template = |pieces: &[(&str, u32)]| -> Vec<Value> {
        let piece = |&(id, type_id): &(&str, u32)| match id {
            "A" | "B" => json!({"Sequence": {"id": id, "type_id": type_id}}),
            id => json!({"SpecialToken": {"id": id, "type_id": type_id}}),
        };
        pieces.iter().map(piece).collect()
    };
    let special = |token: &str| json!({"id": token, "ids": [vocabulary[token]], "tokens": [token]});
    let file = json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 128}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                    "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": template(&[("[CLS]", 0), ("A", 0), ("[SEP]", 0)]),
            "pair": template(&[("[CLS]", 0), ("A", 0), ("[SEP]", 0), ("B", 1), ("[SEP]", 1)]),
            "special_tokens": {"[CLS]": special("[CLS]"), "[SEP]": special("[SEP]")},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocabulary},
    });
    serde_json::to_vec(&file).unwrap()
}

/// A tokenizer whose vocabulary has characters, pieces of words, and tokens that are awkward in JSON.
fn small() -> Vec<u8> {
    let alphabet = "abcdefghijklmnopqrstuvwxyzäß0123456789.,!?'\"\\/-_€中日本한국어🙂\u{301}";
    let characters = alphabet.chars().flat_map(|c| [c.to_string(), format!("##{c}")]);
    let pieces = ["the", "##ing", "card", "##s", "un", "##believ", "##able", "ing", "##", "a##b", "\"", "\\", "é"];
    bert(characters.chain(pieces.map(str::to_owned)))
}

/// The crate's tokenizer, which answers the texts in full.
fn reference(json: &[u8]) -> tokenizers::Tokenizer {
    let mut tokenizer = tokenizers::Tokenizer::from_bytes(json).unwrap();
    tokenizer.with_padding(None).with_truncation(None).unwrap();
    tokenizer
}

fn assert_same(ours: &Tokenizer, reference: &tokenizers::Tokenizer, text: &Text, limit: Limit) {
    let expected = match text {
        Text::One(text) => reference.encode(text.as_str(), true),
        Text::Pair(first, second) => reference.encode((first.as_str(), second.as_str()), true),
        Text::Ids(_) => unreachable!(),
    };
    let expected = expected.unwrap();
    let got = ours.encode(text, "", limit).unwrap();
    let wide = |ids: &[u32]| ids.iter().copied().map(i64::from).collect::<Vec<_>>();
    assert_eq!(got.ids, wide(expected.get_ids()), "{text:?}");
    assert_eq!(got.segments, wide(expected.get_type_ids()), "{text:?}");
}

/// The texts that lie beside the checkout, or none.
fn real_texts() -> Vec<String> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let mut texts = Vec::new();
    for folder in ["banking77", "wizard_of_oz"] {
        let Ok(files) = fs::read_dir(data.join(folder)) else { continue };
        for file in files.filter_map(Result::ok) {
            let Ok(text) = fs::read_to_string(file.path()) else { continue };
            texts.extend(text.lines().step_by(7).map(str::to_owned));
        }
    }
    texts
}

#[test]
#[allow(clippy::print_stderr)]
fn real_texts_get_the_tokens_that_the_crate_gives_them() {
    let texts = real_texts();
    if texts.is_empty() {
        return eprintln!("skipped: the data is not beside the checkout");
    }
    let words = texts.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric())).map(str::to_lowercase);
    let pieces = words.step_by(3).flat_map(|word| {
        let middle = word.char_indices().nth(4).map_or(word.len(), |(index, _)| index);
        [word[..middle].to_owned(), format!("##{}", &word[middle..])]
    });
    let characters = (' '..='\u{17f}').flat_map(|c| [c.to_string(), format!("##{c}")]);
    let json = bert(characters.chain(pieces));
    let (ours, reference) = (Tokenizer::from_json(&json).unwrap(), reference(&json));
    assert!(matches!(ours.pipeline.get_model(), Vocabulary::WordPiece(_)));
    for pair in texts.windows(2) {
        assert_same(&ours, &reference, &Text::One(pair[0].clone()), LONG);
        assert_same(&ours, &reference, &Text::Pair(pair[0].clone(), pair[1].clone()), LONG);
    }
}

/// A tokenizer of every kind there is, by the name of its folder.
fn tokenizers() -> impl Iterator<Item = (String, Tokenizer, Vec<String>)> {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/tests/encoders/folders");
    fs::read_dir(folders).unwrap().map(|folder| {
        let folder = folder.unwrap().path();
        let tokenizer = Tokenizer::from_json(&fs::read(folder.join("tokenizer.json")).unwrap()).unwrap();
        let reference: Value = serde_json::from_slice(&fs::read(folder.join("reference.json")).unwrap()).unwrap();
        let texts = reference["texts"].as_array().unwrap().iter().map(|text| match &text["text"] {
            Value::String(text) => text.clone(),
            pair => pair[1].as_str().unwrap().to_owned(),
        });
        (folder.display().to_string(), tokenizer, texts.collect())
    })
}

#[test]
fn a_long_text_is_cut_to_the_tokens_that_all_of_it_would_give() {
    for (folder, ours, texts) in tokenizers() {
        for separator in [" ", "\n\n", "  ", "", "-"] {
            let text = texts.iter().cycle().take(400).cloned().collect::<Vec<_>>().join(separator);
            let whole = ours.encode(&Text::One(text.clone()), "", LONG).unwrap().ids;
            for max_tokens in [16, 57, 128] {
                let cut = |overlong| ours.encode(&Text::One(text.clone()), "", Limit { max_tokens, overlong });
                let start = cut(Overlong::CutEnd).unwrap().ids;
                assert_eq!(start[..max_tokens - 1], whole[..max_tokens - 1], "{folder} {separator:?}");
                let end = cut(Overlong::CutStart).unwrap().ids;
                assert_eq!(end[1..], whole[whole.len() - (max_tokens - 1)..], "{folder} {separator:?}");
                assert!(matches!(cut(Overlong::Refuse), Err(EncodeError::TooLong { whole: false, .. })), "{folder}");
            }
        }
    }
}

/// What `transformers` makes of some texts with the tokenizers of every architecture.
#[test]
fn texts_get_the_tokens_that_transformers_gives_them() {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/tests/encoders/folders");
    let mut texts = 0;
    for folder in fs::read_dir(folders).unwrap() {
        let folder = folder.unwrap().path();
        let ours = Tokenizer::from_json(&fs::read(folder.join("tokenizer.json")).unwrap()).unwrap();
        let reference: Value = serde_json::from_slice(&fs::read(folder.join("reference.json")).unwrap()).unwrap();
        let max_tokens = usize::try_from(reference["max_tokens"].as_u64().unwrap()).unwrap();
        for expected in reference["texts"].as_array().unwrap() {
            let text = match &expected["text"] {
                Value::String(text) => Text::One(text.clone()),
                pair => Text::Pair(pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned()),
            };
            let got = ours.encode(&text, "", Limit { max_tokens, overlong: Overlong::CutEnd }).unwrap();
            assert_eq!(json!(got.ids), expected["ids"], "{} {text:?}", folder.display());
            texts += 1;
        }
    }
    assert!(texts > 100);
}

#[test]
fn the_files_own_settings_for_truncation_and_padding_have_no_effect() {
    let ours = Tokenizer::from_json(&small()).unwrap();
    assert_eq!(ours.encode(&Text::One("a b c d e f".to_owned()), "", LONG).unwrap().ids.len(), 8);
}

#[test]
fn a_word_of_too_many_characters_is_unknown() {
    let json = small();
    let (ours, reference) = (Tokenizer::from_json(&json).unwrap(), reference(&json));
    for length in [99, 100, 101] {
        assert_same(&ours, &reference, &Text::One("ä".repeat(length)), LONG);
    }
}

#[test]
fn a_text_that_is_too_long_is_cut_or_refused_with_both_numbers() {
    let ours = Tokenizer::from_json(&small()).unwrap();
    let text = Text::One("a b c d e f".to_owned());
    let whole = ours.encode(&text, "", LONG).unwrap().ids;
    let limit = |overlong| Limit { max_tokens: 4, overlong };
    let end = ours.encode(&text, "", limit(Overlong::CutEnd)).unwrap().ids;
    assert_eq!(end, [whole[0], whole[1], whole[2], whole[7]]);
    let start = ours.encode(&text, "", limit(Overlong::CutStart)).unwrap().ids;
    assert_eq!(start, [whole[0], whole[5], whole[6], whole[7]]);
    let refused = ours.encode(&text, "", limit(Overlong::Refuse)).unwrap_err();
    assert_eq!(refused, EncodeError::TooLong { max_tokens: 4, tokens: 8, whole: true });
}

#[test]
fn token_ids_get_special_tokens_unless_they_have_them() {
    let ours = Tokenizer::from_json(&small()).unwrap();
    let whole = ours.encode(&Text::One("the card".to_owned()), "", LONG).unwrap();
    let ids: Vec<u32> = whole.ids.iter().map(|id| u32::try_from(*id).unwrap()).collect();
    for ids in [&ids[..], &ids[1..ids.len() - 1]] {
        assert_eq!(ours.encode(&Text::Ids(ids.to_vec()), "", LONG).unwrap(), whole);
    }
    assert_eq!(ours.encode(&Text::Ids(vec![1 << 30]), "", LONG), Err(EncodeError::UnknownId(1 << 30)));
}

#[test]
fn a_prompt_stands_before_a_text_and_before_the_first_of_a_pair() {
    let ours = Tokenizer::from_json(&small()).unwrap();
    let text = |text: &str| Text::One(text.to_owned());
    assert_eq!(ours.encode(&text("card"), "the ", LONG), ours.encode(&text("the card"), "", LONG));
    let pair = |first: &str| Text::Pair(first.to_owned(), "cards".to_owned());
    assert_eq!(ours.encode(&pair("card"), "the ", LONG), ours.encode(&pair("the card"), "", LONG));
}

#[test]
fn json_that_is_no_tokenizer_is_refused() {
    for json in ["", "{}", "[]", "{\"model\": {}}", "{\"model\": {\"type\": \"WordPiece\", \"vocab\": [1]}}"] {
        assert!(Tokenizer::from_json(json.as_bytes()).is_err(), "{json}");
    }
}

#[test]
fn a_vocabulary_without_a_token_for_unknown_words_is_an_error_only_where_one_comes() {
    let json = String::from_utf8(small()).unwrap().replace("\"unk_token\":\"[UNK]\"", "\"unk_token\":\"<none>\"");
    let ours = Tokenizer::from_json(json.as_bytes()).unwrap();
    assert!(ours.encode(&Text::One("card".to_owned()), "", LONG).is_ok());
    let error = ours.encode(&Text::One("ÿ☃".to_owned()), "", LONG).unwrap_err();
    assert!(error.to_string().contains("<none>"), "{error}");
}

proptest! {
    #[test]
    fn any_text_gets_the_tokens_that_the_crate_gives_it(text in "\\PC{0,40}|[a-z#äé \\\\\"中🙂\u{301}\u{200d}\t\u{0}\u{fffd}]{0,40}|(\\[CLS\\]|\\[MASK\\]|card| |##ing){0,8}") {
        let json = small();
        assert_same(&Tokenizer::from_json(&json).unwrap(), &reference(&json), &Text::One(text), LONG);
    }

    #[test]
    fn pairs_are_cut_as_the_crate_cuts_them(
        first in "[a-c ]{0,20}",
        second in "[a-c ]{0,20}",
        max_tokens in 3usize..24,
        left: bool,
    ) {
        let json = small();
        let (direction, overlong) = match left {
            true => (TruncationDirection::Left, Overlong::CutStart),
            false => (TruncationDirection::Right, Overlong::CutEnd),
        };
        let reference = reference(&json);
        let alone = |text: &str| reference.encode(text, false).unwrap();
        let params = TruncationParams { max_length: max_tokens - 3, direction, ..Default::default() };
        let (cut_first, cut_second) = truncate_encodings(alone(&first), Some(alone(&second)), &params).unwrap();
        let expected = reference.get_post_processor().unwrap().process(cut_first, cut_second, true).unwrap();

        let ours = Tokenizer::from_json(&json).unwrap();
        let got = ours.encode(&Text::Pair(first, second), "", Limit { max_tokens, overlong }).unwrap();
        prop_assert_eq!(got.ids, expected.get_ids().iter().copied().map(i64::from).collect::<Vec<_>>());
        prop_assert_eq!(got.segments, expected.get_type_ids().iter().copied().map(i64::from).collect::<Vec<_>>());
    }
}
