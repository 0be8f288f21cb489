//! Tokens back to text, and prompts with special tokens, as the crate has them.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenizers::Tokenizer as Reference;

use crate::tokenizer::{Detokenizer, Prompt, Tokenizer};

/// A vocabulary of bytes, as GPT-2 has them, with special tokens.
fn byte_level() -> Value {
    let mut next = 0x100;
    let characters = (0..=255_u32).map(|byte| match byte {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => char::from_u32(byte).unwrap(),
        _ => {
            next += 1;
            char::from_u32(next - 1).unwrap()
        }
    });
    let mut vocabulary: serde_json::Map<String, Value> =
        characters.enumerate().map(|(id, c)| (c.to_string(), json!(id))).collect();
    vocabulary.insert("he".to_owned(), json!(256));
    vocabulary.insert("Ġt".to_owned(), json!(257));
    json!({
        "added_tokens": added(&[(258, "<|end|>", true), (259, "<tool>", false)]),
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [["h", "e"], ["Ġ", "t"]]},
    })
}

/// A vocabulary as SentencePiece has them: a mark for spaces, tokens for bytes.
fn pieces(pre_tokenizer: Value, normalizer: Value, decoder: Value) -> Value {
    let mut vocabulary = serde_json::Map::new();
    for text in ["<unk>", "<s>", "</s>"] {
        vocabulary.insert(text.to_owned(), json!(vocabulary.len()));
    }
    for byte in 0..=255 {
        vocabulary.insert(format!("<0x{byte:02X}>"), json!(vocabulary.len()));
    }
    for text in ["▁", "a", "b", "c", "<", ">", "/", "s", "▁a", "ab", "▁ab"] {
        vocabulary.insert(text.to_owned(), json!(vocabulary.len()));
    }
    json!({
        "added_tokens": added(&[(0, "<unk>", true), (1, "<s>", true), (2, "</s>", true)]),
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "decoder": decoder,
        "model": {
            "type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
            "vocab": vocabulary, "merges": [["▁", "a"], ["a", "b"], ["▁", "ab"]],
        },
    })
}

fn llama() -> Value {
    let normalizers = json!([
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ]);
    let decoders = json!([
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]);
    pieces(
        Value::Null,
        json!({"type": "Sequence", "normalizers": normalizers}),
        json!({"type": "Sequence", "decoders": decoders}),
    )
}

fn metaspace() -> Value {
    let metaspace = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false});
    pieces(metaspace.clone(), Value::Null, metaspace)
}

fn added(tokens: &[(u32, &str, bool)]) -> Value {
    let token = |(id, content, special): &(u32, &str, bool)| {
        json!({
            "id": id, "content": content, "special": special,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        })
    };
    tokens.iter().map(token).collect()
}

fn both(json: &Value) -> (Tokenizer, Reference) {
    let text = json.to_string();
    (Tokenizer::from_json(text.as_bytes()).unwrap(), serde_json::from_str(&whole(json).to_string()).unwrap())
}

/// The crate wants every field.
fn whole(json: &Value) -> Value {
    let mut json = json.clone();
    for name in ["normalizer", "pre_tokenizer", "post_processor", "decoder", "truncation", "padding"] {
        json.as_object_mut().unwrap().entry(name).or_insert(Value::Null);
    }
    json["version"] = json!("1.0");
    json
}

fn text_of(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut text = Detokenizer::new(Arc::new(tokenizer.token_bytes().unwrap()));
    let parts: Vec<String> = ids.iter().map(|id| text.push(*id)).collect();
    parts.concat() + &text.finish()
}

fn prompt(tokenizer: &Tokenizer, text: &str, guard: Option<char>) -> Vec<u32> {
    tokenizer.prompt(Prompt { text, framed: false, guard }, 10_000).unwrap()
}

#[test]
fn special_tokens_have_no_text_and_others_have_theirs() {
    let (ours, _) = both(&byte_level());
    assert_eq!(prompt(&ours, "he<|end|><tool>", None), [256, 258, 259]);
    assert_eq!(text_of(&ours, &[256, 258, 259]), "he<tool>");
}

#[test]
fn a_text_that_goes_on_keeps_its_space() {
    let (ours, _) = both(&llama());
    let ids = prompt(&ours, "ab", None);
    let table = Arc::new(ours.token_bytes().unwrap());
    let text = |mut text: Detokenizer| ids.iter().map(|id| text.push(*id)).collect::<String>();
    assert_eq!(text(Detokenizer::new(Arc::clone(&table))), "ab");
    assert_eq!(text(Detokenizer::continuing(table)), " ab");
}

#[test]
fn guarded_texts_of_special_tokens_are_text() {
    for json in [byte_level(), llama(), metaspace()] {
        let (ours, _) = both(&json);
        let special = if json["added_tokens"].as_array().unwrap().len() == 2 { "<|end|>" } else { "</s>" };
        let plain = prompt(&ours, &format!("a{special}b"), None);
        let guarded = format!("a{special}b{}\u{fdd0}{}c", &special[..1], &special[1..]);
        let ids = prompt(&ours, &guarded, Some('\u{fdd0}'));
        assert_eq!(ids[..plain.len()], plain);
        assert_eq!(ids.iter().filter(|id| ours.token_bytes().unwrap().special(**id).is_some()).count(), 1);
        assert_eq!(text_of(&ours, &ids).replace(' ', ""), format!("ab{special}c"));
    }
}

#[test]
fn a_prompt_that_is_too_long_is_refused_with_its_tokens() {
    let (ours, _) = both(&byte_level());
    let refused = ours.prompt(Prompt { text: "xxxx", framed: false, guard: None }, 3).unwrap_err();
    assert!(refused.to_string().contains("got 4"), "{refused}");
}

proptest! {
    #[test]
    fn tokens_become_the_text_that_the_crate_makes_of_them(
        ids in proptest::collection::vec(0_u32..258, 0..30),
        text in "[abc<>/s é😀]{0,12}",
    ) {
        for json in [byte_level(), llama(), metaspace()] {
            let (ours, reference) = both(&json);
            // Of a run of byte tokens that is no text the crate makes a U+FFFD for each, even for those that are text alone.
            let expected = reference.decode(&ids, true).unwrap();
            if !expected.contains('\u{fffd}') || json == byte_level() {
                prop_assert_eq!(text_of(&ours, &ids), expected);
            }
            let encoded = reference.encode(text.as_str(), false).unwrap();
            prop_assert_eq!(prompt(&ours, &text, None), encoded.get_ids());
            prop_assert_eq!(text_of(&ours, encoded.get_ids()), reference.decode(encoded.get_ids(), true).unwrap());
        }
    }
}
