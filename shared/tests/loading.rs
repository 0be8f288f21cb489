//! The promises of loading: once however many ask, a new package beside the old one, a bad one never.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use emberlite::engine;
use emberlite::model::{
    Digest, Dim, Dtype, Entry, FORMAT, Manifest, Model, ModelName, Models, Source, Task, TensorSpec, Verification,
    write_package,
};
use emberlite::store::{Location, Store, StoreError};
use emberlite::telemetry::cold_start::Timeline;
use tempfile::TempDir;
use tract_core::prelude::*;

/// A package that multiplies its input by `factor`.
fn package(name: &str, factor: f32) -> (Digest, Vec<u8>) {
    let mut model = TypedModel::default();
    let batch = model.symbols.sym("N");
    let x = model.add_source("x", f32::fact([batch.to_dim()])).unwrap();
    let factor = model.add_const("factor", tensor1(&[factor])).unwrap();
    let y = model.wire_node("y", tract_core::ops::math::mul(), &[x, factor]).unwrap();
    model.select_output_outlets(&y).unwrap();
    let graph = engine::write_graph(&model).unwrap();

    let tensor = |name: &str| TensorSpec {
        name: name.to_owned(),
        dtype: Dtype::Fp32,
        shape: vec![Dim::Symbol("N".to_owned())],
        role: None,
    };
    let manifest = Manifest {
        format: FORMAT,
        name: name.parse().unwrap(),
        task: Task::Predict,
        description: String::new(),
        licence: String::new(),
        inputs: vec![tensor("x")],
        outputs: vec![tensor("y")],
        labels: Vec::new(),
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
            file: "x".to_owned(),
            format: "test".to_owned(),
            producer: None,
            digest: Digest::of(b""),
            files: Vec::new(),
        },
        tool: None,
        verification: Verification::default(),
        sections: Default::default(),
    };
    let mut entries = vec![Entry::graph(&graph.text)];
    entries.extend(graph.weights.iter().map(|(label, tensor)| Entry::weight(label, tensor).unwrap()));
    let mut bytes = Vec::new();
    let digest = write_package(&manifest, entries, &mut bytes).unwrap();
    (digest, bytes)
}

fn folder(root: &Path) -> Store {
    Store::new(Location::Folder(root.to_owned()))
}

async fn push(root: &Path, name: &str, factor: f32) -> Digest {
    let (digest, bytes) = package(name, factor);
    folder(root).push(&name.parse().unwrap(), &digest, bytes.into()).await.unwrap();
    digest
}

fn models(root: &Path, refresh: Duration) -> Models {
    Models::new(folder(root), None, None, Some(refresh))
}

fn times_three(model: &Model) -> f32 {
    let outputs = model.run(vec![tensor1(&[3f32])]).unwrap();
    outputs[0].try_as_plain_ram().unwrap().as_slice::<f32>().unwrap()[0]
}

/// Asks for the model until it answers `expected`.
async fn until(models: &Models, name: &ModelName, expected: f32) {
    let start = Instant::now();
    while times_three(&models.get(name).await.unwrap()) != expected {
        assert!(start.elapsed() < Duration::from_secs(20), "the new package was never swapped in");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_loaded_once_however_many_ask_for_it() {
    let root = TempDir::new().unwrap();
    push(root.path(), "double", 2.0).await;
    let models = Arc::new(models(root.path(), Duration::from_secs(60)));
    let name: ModelName = "double".parse().unwrap();
    let asks: Vec<_> = (0..64)
        .map(|_| {
            let (models, name) = (Arc::clone(&models), name.clone());
            tokio::spawn(async move { models.get(&name).await.unwrap() })
        })
        .collect();
    let first = models.get(&name).await.unwrap();
    for ask in asks {
        assert!(Arc::ptr_eq(&first, &ask.await.unwrap()));
    }
    assert_eq!(times_three(&first), 6.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_package_is_swapped_in_beside_the_old_one() {
    let root = TempDir::new().unwrap();
    push(root.path(), "factor", 2.0).await;
    let models = models(root.path(), Duration::ZERO);
    let name: ModelName = "factor".parse().unwrap();
    let old = models.get(&name).await.unwrap();
    push(root.path(), "factor", 5.0).await;
    until(&models, &name, 15.0).await;
    assert_eq!(times_three(&old), 6.0, "who holds the old model still gets its answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_fails_to_load_leaves_the_old_one_serving() {
    let root = TempDir::new().unwrap();
    push(root.path(), "factor", 2.0).await;
    let models = models(root.path(), Duration::ZERO);
    let name: ModelName = "factor".parse().unwrap();
    assert_eq!(times_three(&models.get(&name).await.unwrap()), 6.0);

    let (digest, mut bytes) = package("factor", 7.0);
    let last = bytes.len() - 64;
    bytes[last] ^= 1;
    folder(root.path()).push(&name, &digest, bytes.into()).await.unwrap();
    for _ in 0..50 {
        assert_eq!(times_three(&models.get(&name).await.unwrap()), 6.0);
        tokio::task::yield_now().await;
    }
    push(root.path(), "factor", 4.0).await;
    until(&models, &name, 12.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_of_another_name_is_refused() {
    let root = TempDir::new().unwrap();
    let (digest, bytes) = package("other", 2.0);
    let name: ModelName = "factor".parse().unwrap();
    folder(root.path()).push(&name, &digest, bytes.into()).await.unwrap();
    let error = models(root.path(), Duration::ZERO).get(&name).await.unwrap_err();
    assert!(error.to_string().contains("calls itself"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_appears_later_is_found() {
    let root = TempDir::new().unwrap();
    push(root.path(), "first", 2.0).await;
    let models = models(root.path(), Duration::from_secs(60));
    let name: ModelName = "later".parse().unwrap();
    assert!(models.get(&name).await.is_err());
    push(root.path(), "later", 3.0).await;
    assert_eq!(times_three(&models.get(&name).await.unwrap()), 9.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pointer_to_a_package_that_is_gone_is_told_apart_from_an_unknown_model() {
    let root = TempDir::new().unwrap();
    let digest = push(root.path(), "gone", 2.0).await;
    fs::remove_file(root.path().join(format!("models/gone/{digest}.ember"))).unwrap();
    let store = folder(root.path());
    let name: ModelName = "gone".parse().unwrap();
    assert_eq!(store.current(&name).await.unwrap(), digest);
    assert!(matches!(
        store.package(&name, &digest, &Timeline::default()).await,
        Err(StoreError::MissingPackage { .. })
    ));
    let unknown: ModelName = "unknown".parse().unwrap();
    assert!(matches!(store.current(&unknown).await, Err(StoreError::UnknownModel { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_pushes_at_the_same_time_each_wins_or_is_told_that_it_lost() {
    let root = TempDir::new().unwrap();
    let pushes: Vec<_> = (0..16)
        .map(|factor| {
            let store = folder(root.path());
            tokio::spawn(async move {
                let (digest, bytes) = package("raced", factor as f32);
                (digest, store.push(&"raced".parse().unwrap(), &digest, bytes.into()).await)
            })
        })
        .collect();
    let mut won = Vec::new();
    for push in pushes {
        let (digest, outcome) = push.await.unwrap();
        match outcome {
            Ok(_) => won.push(digest),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let current = folder(root.path()).current(&"raced".parse().unwrap()).await.unwrap();
    assert!(won.contains(&current));
    let leftovers: Vec<_> = fs::read_dir(root.path().join("models/raced"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "current.json" && !name.ends_with(".ember"))
        .collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}
