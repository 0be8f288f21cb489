//! What `emberlite` promises about ONNX files, each kept against onnxruntime's own numbers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "import_onnx/fixture.rs"]
mod fixture;

use fixture::Fixture;

/// For a developer's own files: `EMBERLITE_FIXTURES=FOLDER cargo test -p emberlite-cli --test import_onnx -- --ignored`.
#[test]
#[ignore = "needs a folder made by fixtures/make.py or in its likeness"]
fn every_model_of_a_folder_matches_onnxruntime() {
    let folder = std::env::var("EMBERLITE_FIXTURES").unwrap();
    let mut models: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    models.retain(|path| path.extension().is_some_and(|extension| extension == "onnx"));
    models.sort();
    let fails = |path: &std::path::PathBuf| std::panic::catch_unwind(|| Fixture::at(path).assert_matches()).is_err();
    let failed: Vec<_> = models.into_iter().filter(fails).collect();
    assert!(failed.is_empty(), "{} failed: {failed:?}", failed.len());
}
