//! What is read of GGUF files, and that no broken one does harm.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::file::File;
use super::{blocks, import};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language/gguf").join(name)
}

#[test]
fn every_type_of_weights_is_read_as_gguf_reads_it() {
    let path = fixture("blocks.gguf");
    let bytes = fs::read(&path).unwrap();
    let file = File::parse(&path, &bytes).unwrap();
    let text = fs::read_to_string(fixture("blocks.json")).unwrap();
    let mut expected: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    expected.remove("made_by");
    assert_eq!(expected.len(), 11);
    for (name, numbers) in expected {
        let (info, bytes) = file.tensor(&name).unwrap();
        assert_eq!((format!("{:?}", info.kind), &info.shape[..]), (name.clone(), &[2, 256][..]));
        let got = info.kind.dense(bytes);
        let numbers = numbers.as_array().unwrap();
        assert_eq!(got.len(), numbers.len());
        for (index, (got, expected)) in got.iter().zip(numbers).enumerate() {
            let expected = expected.as_f64().unwrap() as f32;
            assert!((got - expected).abs() <= 1e-6 * expected.abs().max(1e-3), "{name} {index}: {got} {expected}");
        }
        if name == "Q4_0" {
            let q4 = blocks::q4(bytes, 2, 256);
            let first: Vec<f32> =
                q4.values.iter().zip(0..).map(|(v, i)| (f32::from(*v) - 8.0) * q4.scales[i / 32].to_f32()).collect();
            assert_eq!(first, got);
        }
    }
}

/// What is said of a copy of a fixture that was changed.
fn refusal(change: impl FnOnce(&mut Vec<u8>)) -> Option<String> {
    let mut bytes = fs::read(fixture("llama_q4_0.gguf")).unwrap();
    change(&mut bytes);
    let file = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
    fs::write(file.path(), bytes).unwrap();
    import(file.path()).err().map(|error| error.to_string())
}

/// Writes over the first place that holds `from`.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let place = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes[place..place + to.len()].copy_from_slice(to);
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let says = |from: &str, to: &str| refusal(|bytes| replace(bytes, from.as_bytes(), to.as_bytes())).unwrap();
    let message = says("\x05\0\0\0\0\0\0\0llama", "\x05\0\0\0\0\0\0\0mamba");
    assert!(message.contains("general.architecture = \"mamba\"") && message.contains("qwen3"), "{message}");
    let message = says("blk.1.attn_norm.weight", "blk.9.attn_norm.weight");
    assert!(message.contains("no tensor `blk.1.attn_norm.weight`"), "{message}");
    let message = says("tokenizer.ggml.scores", "tokenizer.ggml.scoreZ");
    assert!(message.contains("have 0 scores"), "{message}");
    let message = says("llama.attention.head_count_kv", "llama.expert_count\0\0\0\0\0\0\0\0\0\0\0");
    assert!(message.contains("no tensor") || message.contains("shape"), "{message}");
}

#[test]
fn a_file_that_was_cut_off_or_is_another_is_refused() {
    // The last tensor may be padded.
    assert!(refusal(|bytes| bytes.truncate(bytes.len() - 32)).unwrap().contains("cut off"));
    assert!(refusal(|bytes| bytes.truncate(100)).unwrap().contains("cut off"));
    assert!(refusal(Vec::clear).unwrap().contains("cut off"));
    assert!(refusal(|bytes| bytes[0] = b'X').unwrap().contains("does not begin with GGUF"));
    assert!(refusal(|bytes| bytes[4] = 9).unwrap().contains("version is 9"));
    assert!(refusal(|bytes| bytes[4..8].copy_from_slice(&[0, 0, 0, 3])).unwrap().contains("big-endian"));
    assert!(refusal(|bytes| bytes[8..16].fill(0xff)).is_some());
    assert_eq!(refusal(|_| ()), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_file_with_changed_bytes_never_panics(places in proptest::collection::vec((0usize..6000, any::<u8>()), 1..6)) {
        refusal(|bytes| places.iter().for_each(|(place, byte)| bytes[*place] = *byte));
    }

    #[test]
    fn a_file_that_was_cut_off_anywhere_never_panics(part in 0.0f64..1.0) {
        let refused = refusal(|bytes| bytes.truncate((part * (bytes.len() - 32) as f64) as usize));
        prop_assert!(refused.is_some());
    }
}
