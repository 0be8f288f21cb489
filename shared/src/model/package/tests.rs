//! The promises of the package format.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tract_core::prelude::{Tensor, tensor1};

use super::*;
use crate::model::{Dim, Entry, FORMAT, NEWEST_FORMAT, Source, Task, TensorSpec, Verification, write_package};

fn manifest() -> Manifest {
    let tensor = |name: &str| TensorSpec {
        name: name.to_owned(),
        dtype: Dtype::Fp32,
        shape: vec![Dim::Symbol("N".to_owned()), Dim::Fixed(2)],
        role: None,
    };
    Manifest {
        format: FORMAT,
        name: "sample".parse().unwrap(),
        task: Task::Predict,
        description: "A sample, with \"quotes\" and ünïcode.".to_owned(),
        licence: String::new(),
        inputs: vec![tensor("x")],
        outputs: vec![tensor("y")],
        labels: vec!["no".to_owned(), "yes".to_owned()],
        features: Vec::new(),
        image: None,
        text: None,
        generate: None,
        vocabulary: None,
        pruning: Vec::new(),
        quantization: None,
        recipe: None,
        examples: Vec::new(),
        source: Source {
            file: "sample.onnx".to_owned(),
            format: "onnx".to_owned(),
            producer: None,
            digest: Digest::of(b"source"),
            files: Vec::new(),
        },
        tool: None,
        verification: Verification { batch_sizes: vec![1, 3], inputs: 2, ..Verification::default() },
        sections: BTreeMap::new(),
    }
}

fn weights() -> Vec<(&'static str, Tensor)> {
    vec![
        ("bias", tensor1(&[0.5f32, -0.5])),
        ("classes", tensor1(&["no".to_owned(), "yes".to_owned()])),
        ("empty", tensor1::<i64>(&[])),
        ("flags", tensor1(&[true, false, true])),
        ("weight", tensor1(&(0..64).map(|i| i as f32).collect::<Vec<_>>())),
    ]
}

fn write_manifest(manifest: &Manifest) -> Vec<u8> {
    let weights = weights();
    let mut entries: Vec<_> = weights.iter().map(|(name, tensor)| Entry::weight(*name, tensor).unwrap()).collect();
    entries.push(Entry::graph("version 1.0;\ngraph g(x) -> (y) {}"));
    let mut bytes = Vec::new();
    let digest = write_package(manifest, entries, &mut bytes).unwrap();
    assert_eq!(digest, Digest::of(&bytes));
    bytes
}

fn written() -> Vec<u8> {
    write_manifest(&manifest())
}

#[test]
fn what_was_written_reads_back() {
    let bytes = written();
    let package = Package::open(bytes.clone().into()).unwrap();
    assert_eq!(package.manifest().description, manifest().description);
    assert_eq!(package.graph().unwrap(), "version 1.0;\ngraph g(x) -> (y) {}");
    assert_eq!(*package.digest(), Digest::of(&bytes));
    let read: Vec<_> =
        package.weights().map(|section| (section.name.to_owned(), section.to_tensor().unwrap())).collect();
    let expected: Vec<_> = weights().into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect();
    assert_eq!(read, expected);
}

#[test]
fn a_package_is_a_safetensors_file_with_aligned_sections() {
    let bytes = written();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for name in ["bias", "weight", "flags", "graph.nnef"] {
        let start = file.tensor(name).unwrap().data().as_ptr() as usize - bytes.as_ptr() as usize;
        assert_eq!(start % 64, 0, "{name} starts at {start}");
    }
    assert_eq!(bytes.len() % 64, 0);
}

#[test]
fn equal_contents_make_equal_files() {
    assert_eq!(written(), written());
}

#[test]
fn a_newer_format_is_refused_by_its_number() {
    let bytes = write_manifest(&Manifest { format: NEWEST_FORMAT + 1, ..manifest() });
    assert_eq!(Package::open(bytes.into()).unwrap_err(), PackageError::Unsupported { found: NEWEST_FORMAT + 1 });
}

#[test]
fn another_intact_package_is_not_the_one_asked_for() {
    let bytes = written();
    let expected = Digest::of(b"another");
    let got = Digest::of(&bytes);
    assert_eq!(Package::open_as(bytes.into(), &expected).unwrap_err(), PackageError::Digest { expected, got });
}

#[test]
fn a_damaged_section_is_named() {
    let mut bytes = written();
    let digest = Digest::of(&bytes);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let error = Package::open_as(bytes.into(), &digest).unwrap_err();
    assert!(matches!(&error, PackageError::Section { name, .. } if name == "weight"), "{error}");
}

#[test]
fn a_plain_safetensors_file_is_no_package() {
    let tensor = safetensors::tensor::TensorView::new(safetensors::Dtype::U8, vec![2], &[1, 2]).unwrap();
    let bytes = safetensors::serialize([("x", tensor)], None).unwrap();
    assert!(matches!(Package::open(bytes.into()).unwrap_err(), PackageError::NotAPackage(_)));
}

#[test]
fn reserved_and_repeated_names_are_not_written() {
    let tensor = tensor1(&[1u8]);
    for names in [["__pad__.0", "x"], ["x", "x"], ["__metadata__", "x"]] {
        let entries = names.map(|name| Entry::weight(name, &tensor).unwrap()).to_vec();
        assert!(write_package(&manifest(), entries, &mut Vec::new()).is_err(), "{names:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_changed_byte_is_refused(place in any::<prop::sample::Index>(), change in 1u8..) {
        let mut bytes = written();
        let place = place.index(bytes.len());
        bytes[place] = bytes[place].wrapping_add(change);
        prop_assert!(Package::open(bytes.into()).is_err());
    }

    #[test]
    fn any_truncation_is_refused(length in any::<prop::sample::Index>()) {
        let mut bytes = written();
        bytes.truncate(length.index(bytes.len()));
        prop_assert!(Package::open(bytes.into()).is_err());
    }

    #[test]
    fn any_appended_bytes_are_refused(tail in prop::collection::vec(any::<u8>(), 1..200)) {
        let mut bytes = written();
        bytes.extend(tail);
        prop_assert!(Package::open(bytes.into()).is_err());
    }

    #[test]
    fn no_bytes_at_all_make_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Package::open(bytes.into()).is_err());
    }
}

mod signed;
mod sparse;
