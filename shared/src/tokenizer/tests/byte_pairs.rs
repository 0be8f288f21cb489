//! Our byte pair encoding against the crate's own.

use std::sync::LazyLock;

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::{ModelWrapper, TrainerWrapper};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, PreTokenizerWrapper};

use super::*;

/// Texts that are there wherever the checkout is.
const SENTENCES: &str = include_str!("../../../../cli/src/texts/sentences.txt");

/// A `tokenizer.json` of a model that was trained on the sentences, and of which something else is said.
fn trained(trainer: BpeTrainer, pre_tokenizer: Option<Value>, said: Value) -> Vec<u8> {
    let pre_tokenizer: Option<PreTokenizerWrapper> =
        pre_tokenizer.map(|pre_tokenizer| serde_json::from_value(pre_tokenizer).unwrap());
    let mut tokenizer = tokenizers::Tokenizer::new(ModelWrapper::BPE(BPE::default()));
    tokenizer.with_pre_tokenizer(pre_tokenizer);
    tokenizer.train(&mut TrainerWrapper::from(trainer), SENTENCES.lines()).unwrap();
    let mut file: Value = serde_json::from_str(&tokenizer.to_string(false).unwrap()).unwrap();
    for (part, settings) in said.as_object().unwrap() {
        match (&mut file[part], settings) {
            (Value::Object(known), Value::Object(settings)) => known.extend(settings.clone()),
            (known, other) => *known = other.clone(),
        }
    }
    serde_json::to_vec(&file).unwrap()
}

fn trainer(special: &[&str]) -> tokenizers::models::bpe::BpeTrainerBuilder {
    let special = special.iter().map(|token| AddedToken::from(*token, true)).collect();
    BpeTrainer::builder().vocab_size(1200).show_progress(false).special_tokens(special)
}

/// GPT-2's form: characters stand for bytes, so that nothing is unknown.
fn byte_level() -> Vec<u8> {
    let alphabet = ByteLevel::alphabet().into_iter().collect();
    let pre_tokenizer = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
    trained(trainer(&["<s>"]).initial_alphabet(alphabet).build(), Some(pre_tokenizer), json!({}))
}

/// Llama 3's form: another pattern, and words that are tokens are not put together.
fn ignoring_merges() -> Vec<u8> {
    let pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let pre_tokenizer = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
    ]});
    let alphabet = ByteLevel::alphabet().into_iter().collect();
    let said = json!({"model": {"ignore_merges": true}});
    trained(trainer(&[]).initial_alphabet(alphabet).build(), Some(pre_tokenizer), said)
}

/// Llama 2's form: a text is one word, and an unknown character is written in bytes.
fn byte_fallback() -> Vec<u8> {
    let bytes: Vec<String> = (0..=255).map(|byte| format!("<0x{byte:02X}>")).collect();
    let special: Vec<&str> = ["<unk>", "<s>"].into_iter().chain(bytes.iter().map(String::as_str)).collect();
    let said = json!({
        "model": {"byte_fallback": true, "unk_token": "<unk>", "fuse_unk": true},
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "pre_tokenizer": null,
        "added_tokens": [],
    });
    trained(trainer(&special).limit_alphabet(40).build(), Some(json!({"type": "Whitespace"})), said)
}

/// CLIP's form, and its opposite: what ends a word, or goes on with one, is spelled otherwise.
fn decorated(suffix: bool, fuse: bool) -> Vec<u8> {
    let trainer = trainer(&["<unk>"]).limit_alphabet(30);
    let trainer = match suffix {
        true => trainer.end_of_word_suffix("</w>".to_owned()),
        false => trainer.continuing_subword_prefix("##".to_owned()),
    };
    let name = if suffix { "end_of_word_suffix" } else { "continuing_subword_prefix" };
    let said = json!({"model": {"unk_token": "<unk>", "fuse_unk": fuse, name: if suffix { "</w>" } else { "##" }}});
    trained(trainer.build(), Some(json!({"type": "Whitespace"})), said)
}

/// Merges as lines of one text each, as older files have them.
fn in_lines(json: &[u8]) -> Vec<u8> {
    let mut file: Value = serde_json::from_slice(json).unwrap();
    let pairs = file["model"]["merges"].as_array().unwrap().iter();
    let line = |pair: &Value| json!(format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
    file["model"]["merges"] = [json!("#version: 0.2")].into_iter().chain(pairs.map(line)).collect();
    serde_json::to_vec(&file).unwrap()
}

type Pair = (Tokenizer, tokenizers::Tokenizer);

static FORMS: LazyLock<Vec<(&str, Pair)>> = LazyLock::new(|| {
    let forms = [
        ("byte level", byte_level()),
        ("lines", in_lines(&byte_level())),
        ("ignoring merges", ignoring_merges()),
        ("byte fallback", byte_fallback()),
        ("suffix", decorated(true, false)),
        ("suffix, fused", decorated(true, true)),
        ("prefix", decorated(false, false)),
    ];
    let both = |json: &[u8]| (Tokenizer::from_json(json).unwrap(), reference(json));
    forms.iter().map(|(name, json)| (*name, both(json))).collect()
});

fn assert_all_same(text: &str) {
    for (form, (ours, reference)) in FORMS.iter() {
        assert!(matches!(ours.pipeline.get_model(), Vocabulary::Bpe(_)), "{form}");
        assert_same(ours, reference, &Text::One(text.to_owned()), LONG);
    }
}

#[test]
fn real_texts_get_the_byte_pairs_that_the_crate_gives_them() {
    SENTENCES.lines().for_each(assert_all_same);
    real_texts().iter().step_by(11).for_each(|text| assert_all_same(text));
    assert_all_same(SENTENCES);
    assert_all_same(&"ab".repeat(3000));
}

#[test]
fn tokens_have_the_ids_and_texts_that_the_file_gives_them() {
    for (form, (ours, reference)) in FORMS.iter() {
        let vocabulary = reference.get_vocab(true);
        assert_eq!(ours.pipeline.get_vocab(true), vocabulary, "{form}");
        for (token, id) in vocabulary {
            assert_eq!(ours.pipeline.token_to_id(&token), Some(id), "{form}");
            assert_eq!(ours.pipeline.id_to_token(id), Some(token), "{form}");
        }
    }
}

#[test]
fn a_merge_of_what_is_no_token_is_refused_with_its_text() {
    for (merges, told) in [
        (json!([["a", "b"]]), "no token \"ab\""),
        (json!(["a c"]), "no token \"c\""),
        (json!(["a b c"]), "a space between them"),
        (json!([["a"]]), "got fewer"),
        (json!([["a", "b", "a"]]), "got more"),
    ] {
        let file = json!({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": merges}});
        let error = Tokenizer::from_json(&serde_json::to_vec(&file).unwrap()).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn of_two_merges_of_a_pair_the_last_counts() {
    let file = json!({"model": {
        "type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4},
        "merges": [["a", "b"], ["b", "c"], ["a", "b"]],
    }});
    let json = serde_json::to_vec(&file).unwrap();
    let ours = Tokenizer::from_json(&json).unwrap();
    assert_eq!(ours.encode(&Text::One("abc".to_owned()), "", LONG).unwrap().ids, [0, 4]);
}

proptest! {
    #[test]
    fn any_text_gets_the_byte_pairs_that_the_crate_gives_it(
        text in "\\PC{0,40}|[a-z '\u{e9}\u{4e2d}\u{1f642}\u{301}\t\n\r\u{0}\u{fffd}]{0,80}|(<s>|<unk>|<0x0A>|card| |  |\n|'ll|12345){0,8}",
    ) {
        assert_all_same(&text);
    }

    #[test]
    fn long_words_are_merged_as_short_ones_are(text in "[a-e]{40,120}") {
        assert_all_same(&text);
    }
}
