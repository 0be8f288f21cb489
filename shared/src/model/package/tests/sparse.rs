//! The promises of packages that have sections without their zeros.

use super::*;
use crate::engine::{EngineError, Library};
use crate::model::loaded::Opened;
use crate::model::{ModelError, Sparse};
use crate::trust::SigningKey;

/// A graph that adds a weight of its own to its input.
const GRAPH: &str = "version 1.0;\n\ngraph network(x) -> (y) {\n  x = external(shape = [128, 129]);\n  \
                     w = variable<scalar>(label = \"pruned\", shape = [128, 129]);\n  y = add(x, w);\n}\n";

/// Every second element is zero, in runs.
fn pruned() -> [(&'static str, Tensor); 3] {
    let numbers = || (0..128 * 129i32).map(|i| if i % 16 < 8 { 0 } else { i % 100 - 110 });
    let shaped = |mut tensor: Tensor| {
        tensor.set_shape(&[128, 129]).unwrap();
        tensor
    };
    [
        ("bytes", shaped(tensor1(&numbers().map(|number| number as i8).collect::<Vec<_>>()))),
        ("doubles", shaped(tensor1(&numbers().map(f64::from).collect::<Vec<_>>()))),
        ("pruned", shaped(tensor1(&numbers().map(|number| number as f32).collect::<Vec<_>>()))),
    ]
}

fn write_pruned(change: impl Fn(&mut Entry<'_>)) -> Vec<u8> {
    let pruned = pruned();
    let whole = weights();
    let tensors = pruned.iter().chain(&whole);
    let mut entries: Vec<_> = tensors.map(|(name, tensor)| Entry::weight(*name, tensor).unwrap()).collect();
    entries.push(Entry::graph(GRAPH));
    entries.iter_mut().for_each(change);
    let mut bytes = Vec::new();
    write_package(&manifest(), entries, &mut bytes).unwrap();
    bytes
}

#[test]
fn tensors_without_their_zeros_come_back_whole() {
    let bytes = write_pruned(|_| ());
    let package = Package::open(bytes.into()).unwrap();
    for (name, tensor) in pruned() {
        let section = package.section(name).unwrap();
        let Sparse { dtype, shape } = section.sparse.unwrap();
        assert_eq!((section.dtype, section.shape), (safetensors::Dtype::U8, &[section.data.len()][..]));
        assert_eq!(Dtype::from_safetensors(*dtype), Dtype::from_datum_type(tensor.datum_type()));
        assert_eq!(shape.as_slice(), tensor.shape());
        assert!(section.data.len() * 10 < tensor.as_bytes().len() * 7, "{name}");
        assert_eq!(section.zeros(), Some(0.5));
        assert_eq!(Opened::new(&package).tensor(name).unwrap(), tensor);
        let weights = Opened::new(&package).weights(name).unwrap().unwrap();
        assert_eq!((weights.datum_type(), weights.shape()), (tensor.datum_type(), tensor.shape()));
        assert_eq!(weights.bytes(), tensor.as_bytes());
        assert!((weights.bytes().as_ptr() as usize).is_multiple_of(64));
    }
    for (name, tensor) in weights() {
        assert_eq!(package.section(name).unwrap().sparse, None);
        assert_eq!(Opened::new(&package).tensor(name).unwrap(), tensor);
    }
    package.read_graph().unwrap();
}

#[test]
fn only_a_package_without_some_zeros_has_the_newer_format() {
    let package = |bytes: Vec<u8>| Package::open(bytes.into()).unwrap();
    assert_eq!(package(written()).manifest().format, 1);
    assert_eq!(package(write_pruned(|_| ())).manifest().format, 2);
    assert!(!String::from_utf8_lossy(&written()).contains("sparse"));
}

#[test]
fn a_package_without_some_zeros_is_a_safetensors_file_and_can_be_signed() {
    let package = Package::open(write_pruned(|_| ()).into()).unwrap();
    let file = package.signed(&SigningKey::generate().unwrap()).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    assert_eq!(tensors.tensor("pruned").unwrap().data(), package.section("pruned").unwrap().data);
    assert_eq!(Opened::new(&Package::open(file.into()).unwrap()).tensor("pruned").unwrap(), pruned()[2].1);
}

#[test]
fn a_mask_that_does_not_fit_is_refused_with_its_section_named() {
    let changes: [fn(&mut Vec<u8>); 3] =
        [|data| data[0] ^= 1, |data| data.truncate(data.len() - 1), |data| data.truncate(100)];
    for change in changes {
        let bytes = write_pruned(|entry| {
            if entry.sparse.is_some() {
                change(entry.data.to_mut());
                entry.shape = vec![entry.data.len()];
            }
        });
        let package = Package::open(bytes.into()).unwrap();
        for name in ["bytes", "pruned"] {
            let named = |error: &EngineError| matches!(error, EngineError::Weight { name: told, reason } if told == name && reason.contains("mask"));
            assert!(Opened::new(&package).tensor(name).is_err_and(|error| named(&error)));
            assert!(Opened::new(&package).weights(name).is_err_and(|error| named(&error)));
        }
        let error = package.read_graph().unwrap_err();
        assert!(matches!(error, ModelError::Engine(EngineError::Weight { .. })), "{error}");
    }
}
